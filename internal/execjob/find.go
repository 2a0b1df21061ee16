package execjob

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// find answers the program's absolute path.
func find(command []string, dir string) (string, error) {
	if len(command) == 0 || command[0] == "" {
		return "", errors.New("empty; allowed: a program and its arguments, as a list")
	}
	name := command[0]
	if !strings.ContainsRune(name, '/') && !strings.ContainsRune(name, filepath.Separator) {
		return inPath(command, dir)
	}
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	if runtime.GOOS == "windows" { // where what makes a file executable is its extension
		return exec.LookPath(path)
	}
	if err := executable(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("%s: %w%s", path, err, hint(command, dir))
		}
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return path, nil
}

func inPath(command []string, dir string) (string, error) {
	path, err := exec.LookPath(command[0])
	if err == nil {
		return filepath.Abs(path)
	}
	if errors.Is(err, exec.ErrNotFound) {
		return "", fmt.Errorf("%q is not in PATH%s", command[0], hint(command, dir))
	}
	return "", fmt.Errorf("%w%s", err, hint(command, dir))
}

// executable answers why a file cannot be run.
func executable(path string) error {
	info, err := os.Stat(path)
	var why *fs.PathError
	switch {
	case errors.As(err, &why):
		return why.Err
	case err != nil:
		return err
	case info.IsDir():
		return errors.New("is a folder; allowed: an executable file")
	case !info.Mode().IsRegular():
		return errors.New("is not a regular file; allowed: an executable file")
	case info.Mode()&0o111 == 0:
		return fmt.Errorf("is not executable: chmod +x %s", path)
	}
	return nil
}
