package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// Exit codes that both binaries share.
const (
	CodeFailure = 1
	CodeUsage   = 2
	codeSignal  = 128 // plus the signal's number
)

// Exit is an error that names the exit code. With a nil Err nothing is printed: everything was said.
type Exit struct {
	Code int
	Err  error
}

func (e *Exit) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}

// Unwrap answers the cause.
func (e *Exit) Unwrap() error { return e.Err }

// Usage is an error of whoever typed the command: exit code 2, and a pointer to --help.
func Usage(err error) error { return &usageError{err} }

// Usagef makes a Usage error.
func Usagef(format string, args ...any) error { return Usage(fmt.Errorf(format, args...)) }

type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// Report prints what a command returned, behind the program's name, and answers its exit code. path is the command with
// its parents, for whose help an error of usage sends.
func Report(w io.Writer, path string, err error) int {
	program, _, _ := strings.Cut(path, " ")
	if err == nil {
		return 0
	}
	var (
		exit   *Exit
		usage  *usageError
		signal *SignalError
	)
	code := CodeFailure
	switch {
	case errors.As(err, &exit):
		if code = exit.Code; exit.Err == nil {
			return code
		}
	case errors.As(err, &usage):
		code = CodeUsage
	case errors.As(err, &signal):
		code = signal.Code()
	}
	fmt.Fprintf(w, "%s %s\n", Paint(w, red, program+":"), strings.TrimRight(err.Error(), "\n"))
	if usage != nil && exit == nil {
		fmt.Fprintf(w, "see '%s --help'\n", path)
	}
	return code
}
