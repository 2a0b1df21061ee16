//go:build unix

package cli

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"
)

func TestInterruptible(t *testing.T) {
	soft, hard, stop := Interruptible(t.Context())
	defer stop()
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		signal syscall.Signal
		ctx    context.Context
	}{{syscall.SIGINT, soft}, {syscall.SIGTERM, hard}} {
		if i == 0 && hard.Err() != nil || c.ctx.Err() != nil {
			t.Fatal("it ended early")
		}
		if err := self.Signal(c.signal); err != nil {
			t.Fatal(err)
		}
		<-c.ctx.Done()
		var cause *SignalError
		if !errors.As(context.Cause(c.ctx), &cause) || cause.Code() != 128+int(c.signal) {
			t.Errorf("%v ended it with %v", c.signal, context.Cause(c.ctx))
		}
	}
}
