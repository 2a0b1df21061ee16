package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// SignalError is why a context ended that a signal ended.
type SignalError struct{ Signal syscall.Signal }

func (e *SignalError) Error() string {
	switch e.Signal {
	case syscall.SIGINT:
		return "interrupted"
	case syscall.SIGTERM:
		return "terminated"
	}
	return fmt.Sprintf("ended by signal %d", int(e.Signal))
}

// Code is the exit code that shells expect: 130 after Ctrl-C, 143 after SIGTERM.
func (e *SignalError) Code() int { return codeSignal + int(e.Signal) }

// Interruptible answers two contexts: soft ends with the first INT or TERM, hard with the second. Their cause is a
// *SignalError. stop gives the signals back and ends both.
func Interruptible(parent context.Context) (soft, hard context.Context, stop func()) {
	soft, endSoft := context.WithCancelCause(parent)
	hard, endHard := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		for _, end := range []context.CancelCauseFunc{endSoft, endHard} {
			select {
			case s := <-signals:
				number, _ := s.(syscall.Signal)
				end(&SignalError{Signal: number})
			case <-done:
				return
			}
		}
	}()
	return soft, hard, func() {
		signal.Stop(signals)
		close(done)
		endSoft(nil)
		endHard(nil)
	}
}
