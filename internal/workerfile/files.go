package workerfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// maxSecret bounds a file that holds a secret or a certificate, in bytes.
const maxSecret = 1 << 20

// readSmall reads a file that must not be large.
func readSmall(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err == nil && len(data) > maxSecret {
		err = fmt.Errorf("is larger than %d bytes", maxSecret)
	}
	return data, err
}

// beside is the absolute path of a file that the configuration names.
func (d *decoder) beside(name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(d.source.Dir, name)
}

// pathShown is a file's path for messages. One that a variable holds may be the secret itself, put there by mistake.
func (d *decoder) pathShown(path, name string) string {
	if d.file.fromVariable(path) {
		return "the file that its variable names"
	}
	return d.beside(name)
}

// readFile reads a file that a field names; nil where there is none, or a fault.
func (d *decoder) readFile(path, name string) []byte {
	if name == "" {
		return nil
	}
	data, err := d.source.Read(d.beside(name))
	if err != nil {
		var cause *fs.PathError
		if errors.As(err, &cause) {
			err = cause.Err
		}
		d.bad(path, "%s cannot be read: %v", d.pathShown(path, name), err)
		return nil
	}
	return data
}

// readSecret is a file's content without the line break at its end.
func (d *decoder) readSecret(path, name string) []byte {
	data := bytes.TrimRight(d.readFile(path, name), "\r\n")
	switch {
	case name == "" || len(d.faults) > 0 && d.faultyBelow(path):
		return nil
	case len(data) == 0:
		d.bad(path, "%s is empty", d.pathShown(path, name))
		return nil
	case bytes.IndexByte(data, 0) >= 0:
		d.bad(path, "%s is no text", d.pathShown(path, name))
		return nil
	}
	return data
}

// readable is the absolute path of a file that others will read; it must be there.
func (d *decoder) readable(path, name string) string {
	if name == "" {
		return ""
	}
	d.readFile(path, name)
	return d.beside(name)
}
