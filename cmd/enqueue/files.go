package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
)

// input is where lines come from.
type input struct {
	io.Reader
	name    string
	size    int64 // 0 where it is not known
	file    *os.File
	regular bool
}

// openInput opens --file.
func (c *command) openInput(cmd *cobra.Command) (*input, error) {
	if c.file == "-" {
		return &input{Reader: cmd.InOrStdin(), name: "stdin"}, nil
	}
	f, err := os.Open(c.file)
	if err != nil {
		return nil, cli.Usagef("--file: %w", err)
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = errors.New(c.file + " is a directory")
	}
	if err != nil {
		return nil, cli.Usage(errors.Join(errors.New("--file: "+err.Error()), f.Close()))
	}
	in := &input{Reader: f, name: c.file, file: f}
	if info.Mode().IsRegular() {
		in.size, in.regular = info.Size(), true
	}
	return in, nil
}

func (in *input) Close() error {
	if in.file == nil {
		return nil
	}
	return in.file.Close()
}

// openRejects opens --rejects: anew, or to append for a resume. It is nil where none was asked for.
func (c *command) openRejects(cmd *cobra.Command, in *input, kept *offsets) (io.WriteCloser, error) {
	switch c.rejects {
	case "":
		return nil, nil
	case "-":
		return keepOpen{cmd.OutOrStdout()}, nil
	}
	if in.file != nil && sameFile(in.file, c.rejects) {
		return nil, cli.Usagef("--rejects %s would overwrite the input", c.rejects)
	}
	if c.offsetFile != "" && filepath.Clean(c.offsetFile) == filepath.Clean(c.rejects) {
		return nil, cli.Usagef("--rejects and --offset-file name the same file")
	}
	mode := os.O_TRUNC
	if c.fromLine > 1 || kept != nil && kept.resumed {
		mode = os.O_APPEND
	}
	f, err := os.OpenFile(c.rejects, os.O_CREATE|os.O_WRONLY|mode, 0o644)
	if err != nil {
		return nil, cli.Usagef("--rejects: %w", err)
	}
	return f, nil
}

func sameFile(f *os.File, path string) bool {
	a, errA := f.Stat()
	b, errB := os.Stat(path)
	return errA == nil && errB == nil && os.SameFile(a, b)
}

// keepOpen is a file that is not ours to close.
type keepOpen struct{ io.Writer }

func (keepOpen) Close() error { return nil }
