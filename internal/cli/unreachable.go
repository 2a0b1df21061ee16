package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// Unreachable is a Redis that does not answer, or that must not be used as it is: wrong password, read-only replica, too
// old. Its text says what to do about it.
type Unreachable struct {
	Addr string // without credentials
	From string // FromFlag, FromEnv or FromDefault
	Err  error
}

func (e *Unreachable) Error() string {
	why, silent := Silence(e.Err)
	if !silent {
		return e.Err.Error()
	}
	start := "start one with: worker dev"
	switch e.From {
	case FromEnv:
		// worker dev would look for the same server that is not there.
		start = "start one on this machine with: worker dev (and " + EnvRedis + " unset)"
	case FromFlag:
		start = "start one on this machine with: worker dev"
	}
	return fmt.Sprintf("nothing answers at %s (%s); %s", e.Addr, why, start)
}

// Unwrap answers the cause.
func (e *Unreachable) Unwrap() error { return e.Err }

// Silence tells whether an error means that nothing answered at all, and why in a word or two.
func Silence(err error) (why string, silent bool) {
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return dns.Err, true
	}
	var op *net.OpError
	if errors.As(err, &op) {
		var code syscall.Errno
		if errors.As(op, &code) {
			return code.Error(), true
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
