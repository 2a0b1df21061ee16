package conn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// Kinds of failure, for errors.Is. Every error of this package that has a cause
// wraps it as well.
var (
	// ErrUnavailable means that Redis does not serve now and may later: nothing
	// answers, the connection broke, a timeout, or the server says that it is
	// loading, failing over or too busy. The command may or may not have run.
	ErrUnavailable = errors.New("redis is unavailable")
	// ErrAuth means that the server wants other credentials.
	ErrAuth = errors.New("redis refused the credentials")
	// ErrPermission means that the user may not do what was asked.
	ErrPermission = errors.New("redis user lacks a permission")
	// ErrReadOnly means that the server is a replica.
	ErrReadOnly = errors.New("redis is a read-only replica")
	// ErrUnsupported means that the server must not be used as it is: too old, or
	// set up to evict data, or not a data server at all.
	ErrUnsupported = errors.New("redis server is not fit for use")
	// ErrFull means that the server is at its memory limit and refused a write.
	ErrFull = errors.New("redis is full")
	// ErrConfig means that the URL or the Config is faulty; Redis was not asked.
	ErrConfig = errors.New("redis connection settings are faulty")
	// ErrNoTLS means that a server took the connection and did not answer the TLS
	// handshake: most likely it does not speak TLS.
	ErrNoTLS = errors.New("no TLS handshake")
)

// busyCodes are the first words of server errors that pass by themselves.
var busyCodes = []string{
	"LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "MOVED", "ASK", "UNBLOCKED", "BUSY", "NOREPLICAS", "MISCONF",
	"ERR max number of clients reached",
}

// Classify wraps err in the kind it belongs to: ErrUnavailable, ErrFull, ErrAuth
// or ErrPermission. Errors of no kind, of a kind already, or of the caller's own context
// come back unchanged, and nil stays nil.
func Classify(err error) error {
	kind := kindOf(err)
	if kind == nil || errors.Is(err, kind) {
		return err
	}
	return fmt.Errorf("%w: %w", kind, err)
}

// Retryable reports whether the same call may succeed later by itself.
func Retryable(err error) bool {
	return errors.Is(err, ErrUnavailable) || kindOf(err) == ErrUnavailable
}

func kindOf(err error) error {
	if err == nil || errors.Is(err, redis.Nil) {
		return nil
	}
	var reply redis.Error
	if errors.As(err, &reply) {
		return kindOfReply(reply)
	}
	if errors.Is(err, context.Canceled) {
		return nil
	}
	// A dial that timed out says it is a DeadlineExceeded too, hence the order.
	var op *net.OpError
	if errors.As(err, &op) {
		return ErrUnavailable
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	var network net.Error
	if errors.As(err, &network) {
		return ErrUnavailable
	}
	for _, broken := range []error{
		io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, net.ErrClosed, redis.ErrPoolTimeout, redis.ErrPoolExhausted,
		syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE,
	} {
		if errors.Is(err, broken) {
			return ErrUnavailable
		}
	}
	return nil
}

// kindOfReply looks at an error that the server sent. Errors raised inside a
// script arrive with a prefix on old servers, their code after a dash.
func kindOfReply(err error) error {
	text := err.Error()
	if redis.IsOOMError(err) || strings.Contains(text, "-OOM ") {
		return ErrFull
	}
	if redis.IsAuthError(err) {
		return ErrAuth
	}
	if isPermission(err) {
		return ErrPermission
	}
	for _, code := range busyCodes {
		if rest, found := strings.CutPrefix(text, code); found && (rest == "" || rest[0] == ' ') {
			return ErrUnavailable
		}
	}
	for _, code := range []string{"-READONLY ", "-LOADING ", "-MASTERDOWN ", "-MISCONF "} {
		if strings.Contains(text, code) {
			return ErrUnavailable
		}
	}
	return nil
}

// isPermission tells that the server's ACL refused a command, key or channel. A
// script's own commands are refused with the code behind other words.
func isPermission(err error) bool {
	return redis.IsPermissionError(err) || strings.Contains(err.Error(), "NOPERM ") || strings.Contains(err.Error(), "ACL failure in script")
}

// several is the errors of several servers, on one line.
type several []error

func (e several) Error() string {
	texts := make([]string, len(e))
	for i, err := range e {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (e several) Unwrap() []error { return e }
