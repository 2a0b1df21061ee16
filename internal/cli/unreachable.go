package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/tidemill/tidemill/internal/conn"
)

// Unreachable is a Redis that does not answer, or that must not be used as it is: wrong password, read-only replica, too
// old. Its text says what to do about it.
type Unreachable struct {
	Addr string // without credentials
	From string // FromFlag, FromEnv, FromDefault, or the name of a file
	Err  error
}

func (e *Unreachable) Error() string {
	why, silent := Silence(e.Err)
	if strings.Contains(e.Err.Error(), "NOPERM") {
		return e.Err.Error() + "; docs/topologies.md has the ACL rules that are enough"
	}
	several := strings.HasSuffix(e.Addr, ")") // the error says which of them is meant
	if errors.Is(e.Err, conn.ErrNoTLS) && !several {
		return fmt.Sprintf("%s takes connections, but does not answer with TLS (%s); if it is a plain server, use redis://", e.Addr, broken(e.Err))
	}
	if !silent || several {
		return e.Err.Error()
	}
	start := "start one on this machine with: worker dev"
	switch e.From {
	case FromDefault:
		start = "start one with: worker dev"
	case FromEnv:
		// worker dev would look for the same server that is not there.
		start = "start one on this machine with: worker dev (and " + EnvRedis + " unset)"
	}
	return fmt.Sprintf("nothing answers at %s (%s); %s", e.Addr, why, start)
}

// Unwrap answers the cause.
func (e *Unreachable) Unwrap() error { return e.Err }

// broken says in a few words how a TLS handshake failed.
func broken(err error) string {
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return "the handshake timed out"
	}
	return "it broke the handshake off"
}

// Silence tells whether an error means that nothing answered at all, and why in a word or two.
func Silence(err error) (why string, silent bool) {
	if errors.Is(err, conn.ErrNoTLS) { // somebody took the connection
		return "", false
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return dns.Err, true
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op != "remote error" { // that is what TLS calls an alert
		var code syscall.Errno
		if errors.As(op, &code) {
			// Who breaks a connection off is there: the error itself may say why.
			broken := op.Op != "dial" && (code == syscall.ECONNRESET || code == syscall.EPIPE)
			return code.Error(), !broken
		}
		if op.Timeout() {
			return "timed out", true
		}
		return op.Err.Error(), true
	}
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return "timed out", true
	}
	return "", false
}
