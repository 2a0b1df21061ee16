package pubsub

import (
	"context"
	"iter"
	"time"

	"github.com/tidemill/tidemill/internal/bus"
	"github.com/tidemill/tidemill/internal/loop"
)

// replayAtMost is how many messages one round trip of a replay brings.
const replayAtMost = 256

// Replay yields what is kept of the topic from a place on, up to the message that was the newest at the start of the loop; no
// group has anything to do with it, and Ack and Nack of its messages do nothing. A *DecodeError stands in the place of a
// message that cannot be decoded; any other error but a *Gap is the last: ErrInvalid, ErrUnavailable, ErrClosed, and what
// ended ctx. Messages that were redriven for one group come at their first place only.
func (d *Durable[T]) Replay(ctx context.Context, from Start) iter.Seq2[*Message[T], error] {
	return func(yield func(*Message[T], error) bool) {
		r := replay[T]{d: d, yield: yield}
		if !r.begin(ctx, from) {
			return
		}
		last, err := d.client.streams.Last(ctx, d.keys)
		if err != nil {
			r.fail(ctx, err)
			return
		}
		for more := true; more; {
			if more, err = r.page(ctx, last); err != nil {
				r.fail(ctx, err)
				return
			}
		}
	}
}

// Follow is Replay that goes on with what comes, until ctx ends, which ends it silently; while Redis is away it waits. What
// retention may have dropped before it was yielded comes as a *Gap, as in a Replay.
func (d *Durable[T]) Follow(ctx context.Context, from Start) iter.Seq2[*Message[T], error] {
	return func(yield func(*Message[T], error) bool) {
		r := replay[T]{d: d, yield: yield, quiet: true}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stop := context.AfterFunc(d.client.life, cancel)
		defer stop()
		if !r.begin(ctx, from) {
			return
		}
		hints := followHints{loop.NewTrigger()}
		sub, err := d.client.hub.Subscribe(ctx, bus.Channel, d.keys.Hints(), hints)
		if err != nil {
			r.fail(ctx, err)
			return
		}
		defer sub.Close()
		r.follow(ctx, hints.Trigger)
	}
}

// followHints is told by the hub when there is something new.
type followHints struct{ *loop.Trigger }

// Message is a hint.
func (h followHints) Message(string, []byte) { h.Set() }

// Missed may have been one.
func (h followHints) Missed(bus.Gap) { h.Set() }

// Ended leaves the polling alone.
func (h followHints) Ended(error) {}

// replay is one replay under way.
type replay[T any] struct {
	d       *Durable[T]
	yield   func(*Message[T], error) bool
	quiet   bool   // the end of ctx is no error
	after   string // position of what was yielded last, or where it begins
	resumed bool   // it begins behind a message
	yielded bool   // something was
	done    bool   // the consumer left the loop

	caughtUp time.Time // when there was nothing behind it
}

// begin finds the place to start from.
func (r *replay[T]) begin(ctx context.Context, from Start) bool {
	err := from.check()
	if err == nil {
		err = r.d.client.closed()
	}
	r.resumed = from.position != "" && from.position != FromStart.place()
	if r.after = from.place(); err == nil && from.now {
		r.after, err = r.d.client.streams.Last(ctx, r.d.keys)
	}
	if err != nil {
		r.fail(ctx, err)
	}
	return err == nil
}

// fail yields the last error.
func (r *replay[T]) fail(ctx context.Context, err error) {
	if ctx.Err() != nil {
		if r.quiet {
			return
		}
		err = context.Cause(ctx)
	}
	r.yield(nil, aboutTopic(r.d.Name(), "", err))
}

// page yields what one round trip brings; false says that there is no more.
func (r *replay[T]) page(ctx context.Context, upto string) (bool, error) {
	// The one before is read again: while it is there, nothing behind it was dropped.
	began := time.Now()
	entries, err := r.d.client.streams.Range(ctx, r.d.keys, r.after, upto, replayAtMost+1)
	if err != nil {
		return false, err
	}
	more := len(entries) == replayAtMost+1
	if len(entries) > 0 && entries[0].Position == r.after {
		entries = entries[1:]
	} else if (r.yielded || r.resumed) && len(entries) > 0 {
		if err := r.lookForGap(ctx); err != nil || r.done {
			return false, err
		}
	}
	if !more {
		r.caughtUp = began
	}
	for _, e := range entries {
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		r.after, r.yielded = e.Position, true
		if e.Group != "" {
			continue
		}
		m, err := decodeEntry[T](r.d.options.codec, r.d.Name(), e.Position, e.Data)
		if r.done = !r.yield(m, err); r.done {
			return false, nil
		}
	}
	return more, nil
}

// lookForGap tells of messages that retention may have dropped before they were yielded: the one before them is gone, and
// all that are older. Of what came since the end was reached, nothing is dropped by age before its time.
func (r *replay[T]) lookForGap(ctx context.Context) error {
	keep, err := r.d.client.streams.Keep(ctx, r.d.keys)
	now := time.Now()
	if err != nil || keep == (bus.Retention{}) && !r.yielded || keep.Count == 0 && keep.Age > 0 && now.Sub(r.caughtUp) < keep.Age {
		return err
	}
	older, err := r.d.client.streams.Range(ctx, r.d.keys, "-", r.after, 1)
	if err != nil || len(older) > 0 {
		return err
	}
	r.done = !r.yield(nil, &Gap{From: bus.PositionTime(r.after), To: now, Reason: "retention dropped messages before they were read"})
	return nil
}

// follow yields what comes until ctx ends. Redis is asked after a hint, and each 2 s.
func (r *replay[T]) follow(ctx context.Context, hint *loop.Trigger) {
	timer := time.NewTimer(beatAtMost)
	defer timer.Stop()
	for {
		more, err := r.page(ctx, "+")
		switch {
		case r.done || ctx.Err() != nil:
			return
		case err != nil && fatal(err):
			r.fail(ctx, err)
			return
		case err != nil:
			r.d.client.trouble.Event(r.d.client.config.Logger.Warn()).Err(err).Str("topic", r.d.Name()).Msg("reading failed; trying again")
			if loop.Sleep(ctx, patient.Cap) != nil {
				return
			}
			continue
		case more:
			continue
		}
		timer.Reset(beatAtMost)
		select {
		case <-ctx.Done():
			return
		case <-hint.C():
		case <-timer.C:
		}
	}
}
