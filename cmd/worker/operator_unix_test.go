//go:build unix

package main

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// The first signal asks a command to end; the second does not wait for it.
func TestSecondSignal(t *testing.T) {
	srv := redistest.Server(t)
	c := &command{}
	cmd := &cobra.Command{Use: "hang"}
	c.connection.AddFlags(cmd.Flags())
	if err := cmd.ParseFlags([]string{"--redis", srv.URL()}); err != nil {
		t.Fatal(err)
	}
	cmd.SetContext(t.Context())
	over := make(chan struct{})
	defer close(over)
	interrupt := func() {
		if self, err := os.FindProcess(os.Getpid()); err != nil || self.Signal(syscall.SIGINT) != nil {
			t.Error("no signal could be sent")
		}
	}
	err := c.with(cmd, func(ctx context.Context, _ *queue.Client) error {
		interrupt()
		<-ctx.Done()
		interrupt()
		<-over
		return nil
	})
	var signal *cli.SignalError
	if !errors.As(err, &signal) || signal.Code() != 130 {
		t.Errorf("ended with %v", err)
	}
}

// Whatever the end by a signal looks like from the inside, the signal is what is told.
func TestSignalIsTold(t *testing.T) {
	srv := redistest.Server(t)
	for _, inside := range []error{context.Canceled, queue.ErrUnavailable, nil} {
		c := &command{}
		cmd := &cobra.Command{Use: "end"}
		c.connection.AddFlags(cmd.Flags())
		if err := cmd.ParseFlags([]string{"--redis", srv.URL()}); err != nil {
			t.Fatal(err)
		}
		cmd.SetContext(t.Context())
		err := c.with(cmd, func(ctx context.Context, _ *queue.Client) error {
			if self, err := os.FindProcess(os.Getpid()); err != nil || self.Signal(syscall.SIGTERM) != nil {
				t.Error("no signal could be sent")
			}
			<-ctx.Done()
			return inside
		})
		var signal *cli.SignalError
		if told := errors.As(err, &signal); told != (inside != nil) {
			t.Errorf("%v inside is told as %v", inside, err)
		}
	}
}
