package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/queue"
)

// codeNotConfirmed is the exit code when all is stored, and something is not confirmed: sending it again would double it.
const codeNotConfirmed = 7

// durableFlags is what jobs wait for before they count as enqueued.
type durableFlags struct {
	queue.Durability
	timeout durationValue
}

func (f *durableFlags) add(flags *pflag.FlagSet) {
	flags.IntVar(&f.Replicas, "replicas", 0, "wait until `n` replicas have the job; exit code 7 if it is stored and not confirmed in time")
	flags.BoolVar(&f.Fsync, "fsync", false, "wait until the append-only file is synced, with --replicas also theirs (Redis 7.2, Valkey)")
	flags.Var(&f.timeout, "durable-timeout", "how long to wait for --replicas and --fsync (default 1s)")
}

// check finds what is not allowed, and completes the Durability.
func (f *durableFlags) check(flags *pflag.FlagSet) error {
	f.Timeout = f.timeout.Duration
	given := flags.Changed("durable-timeout")
	switch {
	case f.Replicas < 0 || f.Replicas > queue.MaxReplicas:
		return cli.Usagef("--replicas %d: want 0 to %d", f.Replicas, queue.MaxReplicas)
	case given && f.Replicas == 0 && !f.Fsync:
		return cli.Usagef("--durable-timeout goes with --replicas or --fsync")
	case given && (f.Timeout <= 0 || f.Timeout > queue.MaxConfirmTimeout):
		return cli.Usagef("--durable-timeout %v: want more than 0, at most %v", f.Timeout, time.Duration(queue.MaxConfirmTimeout))
	}
	return nil
}

// asked tells whether there is anything to confirm.
func (f *durableFlags) asked() bool { return f.Replicas > 0 || f.Fsync }

// confirmed is what JSON says of a stored job: nil where nobody asked.
func (f *durableFlags) confirmed(err error) *bool {
	if !f.asked() {
		return nil
	}
	confirmed := !errors.Is(err, queue.ErrNotConfirmed)
	return &confirmed
}

// missing says in words what is not confirmed, and that the job is in.
func missing(err error) string {
	var e *queue.NotConfirmedError
	if !errors.As(err, &e) {
		return ""
	}
	return fmt.Sprintf("%v; the job is in the queue: do not send it again", e)
}
