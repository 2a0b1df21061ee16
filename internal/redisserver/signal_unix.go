//go:build unix

package redisserver

import (
	"os"
	"syscall"
)

// FreezeProcess stops any process in its tracks (SIGSTOP). On Linux it is at a
// standstill when FreezeProcess returns. On Windows it fails with an error that is
// errors.ErrUnsupported.
func FreezeProcess(p *os.Process) error {
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	awaitStopped(p)
	return nil
}

// ThawProcess lets a frozen process go on (SIGCONT).
func ThawProcess(p *os.Process) error { return p.Signal(syscall.SIGCONT) }

func terminate(p *os.Process) error { return p.Signal(syscall.SIGTERM) }
