package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/pubsub"
)

// follow prints what a source yields until ctx ends, or so many messages were printed. A message is acknowledged once its
// line is written.
func (s *subscribeCommand) follow(ctx context.Context, cmd *cobra.Command, from source) error {
	defer from.close()
	lines := newMessageLines(cmd.OutOrStdout(), s.full)
	acks := newAcker(ctx, func(err error) { s.say(cmd, fmt.Sprintf("%s: warning: %v", cmd.CommandPath(), err)) })
	defer acks.wait()
	printed := 0
	for m, err := range from.messages(ctx) {
		var gap *pubsub.Gap
		switch {
		case errors.As(err, &gap):
			err = lines.gap(gap)
		case err != nil:
			return err
		default:
			if err = lines.message(m); err == nil && from.acks {
				acks.ack(m)
			}
			printed++
		}
		switch {
		case readerGone(err):
			return nil
		case err != nil:
			return err
		case s.count > 0 && printed == s.count:
			return nil
		}
	}
	return nil
}

const (
	// ackAtOnce is how many acknowledgements are under way at most.
	ackAtOnce = 256
	// ackWithin bounds how long one is tried: what is not acknowledged comes again.
	ackWithin = 10 * time.Second
)

// acker acknowledges messages beside the printing.
type acker struct {
	ctx   context.Context
	slots chan struct{}
	tell  func(error)

	wg   sync.WaitGroup
	told sync.Once
}

// newAcker: the end of ctx ends no acknowledgement, for the line is written.
func newAcker(ctx context.Context, tell func(error)) *acker {
	return &acker{ctx: context.WithoutCancel(ctx), slots: make(chan struct{}, ackAtOnce), tell: tell}
}

func (a *acker) ack(m *pubsub.Message[pubsub.Raw]) {
	a.slots <- struct{}{}
	a.wg.Go(func() {
		defer func() { <-a.slots }()
		ctx, cancel := context.WithTimeout(a.ctx, ackWithin)
		defer cancel()
		if err := m.Ack(ctx); err != nil {
			a.told.Do(func() {
				a.tell(fmt.Errorf("message %s is not acknowledged and may come again: %w", cli.Clean(m.Position), err))
			})
		}
	})
}

// wait waits for those that are under way.
func (a *acker) wait() { a.wg.Wait() }
