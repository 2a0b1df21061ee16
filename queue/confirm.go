package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/loop"
)

// maxWait is how long one command waits at most: it must be over well before a connection is held for dead.
const maxWait = time.Second

// endOfWait is what must be left of a context's time for another wait: servers look 10 times a second whether one is over.
const endOfWait = 200 * time.Millisecond

// confirmAgain is the pause before a wait that told nothing is tried again.
const confirmAgain = 20 * time.Millisecond

// flight is stamped calls that travel together, and what became of them.
type flight struct {
	client  *Client
	lanes   []*lanes
	batches []broker.Batch
	answers []broker.BatchOutcome
	unsure  []bool         // calls of which a try may have been carried out, or may yet arrive; nil = none
	want    broker.Confirm // what is waited for behind them; zero = nothing
}

func newFlight(c *Client, n int) *flight {
	return &flight{client: c, lanes: make([]*lanes, 0, n), batches: make([]broker.Batch, 0, n)}
}

func (f *flight) add(l *lanes, stamp broker.Stamp, items []broker.Item) {
	f.lanes = append(f.lanes, l)
	f.batches = append(f.batches, broker.Batch{Queue: l.keys, Stamp: stamp, Items: items})
}

// carry makes the calls until all are answered, or cannot be. Its error is that of those which have none of their own.
func (f *flight) carry(ctx context.Context) error {
	f.answers = make([]broker.BatchOutcome, len(f.batches))
	if f.want == (broker.Confirm{}) {
		return f.client.resend(ctx, func(ctx context.Context) error { return f.attempt(ctx, f.client.broker.EnqueueBatches) })
	}
	return f.confirm(ctx)
}

// carryAfter is carry where each call was made once, and that failed so; nil = it surely was not carried out. The calls wait for nothing.
func (f *flight) carryAfter(ctx context.Context, failed error) error {
	f.answers = make([]broker.BatchOutcome, len(f.batches))
	for i := range f.batches {
		if failed != nil {
			f.doubt(i, outward(failed))
		}
	}
	return f.client.resendAfter(ctx, time.Now(), failed, func(ctx context.Context) error { return f.attempt(ctx, f.client.broker.EnqueueBatches) })
}

// result is the error of a call, where err is what carry answered.
func (f *flight) result(i int, err error) error {
	one := outward(f.answers[i].Err)
	// No answer at all: a call before it ended the attempt.
	if one == nil && f.answers[i].Outcomes == nil || errors.Is(one, ErrUnavailable) {
		return err
	}
	if one != nil && f.unsure != nil && f.unsure[i] && !errors.Is(one, broker.ErrStale) {
		return fmt.Errorf("%w: %w", ErrOutcomeUnknown, one)
	}
	return one
}

// doubt notes that a try of a call failed, which may have been carried out, or may yet be, unless it was refused.
func (f *flight) doubt(i int, err error) {
	if !f.client.retries && (refused(err) || !errors.Is(err, ErrUnavailable)) {
		return
	}
	if f.unsure == nil {
		f.unsure = make([]bool, len(f.batches))
	}
	f.unsure[i] = true
}

// confirm makes the calls and waits behind them, again where that told nothing, until what is wanted is told or the time for
// it is over. A call that is made again under its stamp is not done again.
func (f *flight) confirm(ctx context.Context) error {
	var until time.Time // zero while a call is not answered
	for {
		var began time.Time
		round := f.want
		round.Slice = f.client.wait
		bounded, cancel := ctx, context.CancelFunc(func() {})
		if !until.IsZero() {
			round.Timeout = time.Until(until)
			bounded, cancel = context.WithDeadline(ctx, until.Add(f.client.wait))
		}
		err := f.client.resend(bounded, func(ctx context.Context) error {
			return f.attempt(ctx, func(ctx context.Context, todo []broker.Batch) []broker.BatchOutcome {
				began, round.BySource = time.Now(), !f.scripted()
				return f.client.broker.EnqueueConfirmed(ctx, todo, round)
			})
		})
		cancel()
		if !f.answered() {
			return err
		}
		if until.IsZero() {
			if f.elsewhere() { // what was waited for meant nothing
				began = time.Now()
			}
			until = began.Add(f.want.Timeout)
		}
		if f.told() {
			return nil
		}
		ended := context.Cause(ctx)
		if end, ok := ctx.Deadline(); ok && ended == nil && time.Until(end) < endOfWait {
			ended = context.DeadlineExceeded
		}
		if ended != nil || time.Until(until) < time.Millisecond {
			f.leave(ended)
			return nil
		}
		_ = loop.Sleep(ctx, min(confirmAgain, time.Until(until))) // the context's end is seen above
	}
}

// leave notes why it is not waited any longer, where that is not the end of its time.
func (f *flight) leave(why error) {
	for i := range f.answers {
		if a := &f.answers[i]; why != nil && a.Confirmed.Err == nil {
			a.Confirmed.Err = why
		}
	}
}

// elsewhere tells whether a call went another way than the wait behind it.
func (f *flight) elsewhere() bool {
	return slices.ContainsFunc(f.answers, func(a broker.BatchOutcome) bool { return errors.Is(a.Confirmed.Err, broker.ErrElsewhere) })
}

// scripted tells whether the servers have been given the script, as far as this client knows.
func (f *flight) scripted() bool {
	return !slices.ContainsFunc(f.lanes, func(l *lanes) bool { return l.can.Load()&canScript == 0 })
}

// answered tells whether every call is.
func (f *flight) answered() bool {
	for i := range f.answers {
		if f.open(i) {
			return false
		}
	}
	return true
}

// open tells whether a call has no answer yet, and sending it again may bring one.
func (f *flight) open(i int) bool {
	a := &f.answers[i]
	return a.Outcomes == nil && (a.Err == nil || errors.Is(outward(a.Err), ErrUnavailable))
}

// told tells whether nothing is left to wait for.
func (f *flight) told() bool {
	for i := range f.answers {
		if f.answers[i].Outcomes != nil && f.waits(i) {
			return false
		}
	}
	return true
}

// waits tells whether waiting on may confirm a call that was answered.
func (f *flight) waits(i int) bool {
	got := f.answers[i].Confirmed
	if got.Err != nil {
		return errors.Is(got.Err, broker.ErrElsewhere) || errors.Is(outward(got.Err), ErrUnavailable)
	}
	return !got.Met(f.want)
}

// attempt sends the calls that have no answer yet or are not confirmed; its error is one that sending again may mend.
func (f *flight) attempt(ctx context.Context, send func(context.Context, []broker.Batch) []broker.BatchOutcome) error {
	var todo []broker.Batch
	var places []int
	for i := range f.batches {
		if !f.open(i) && !(f.answers[i].Outcomes != nil && f.want != (broker.Confirm{}) && f.waits(i)) {
			continue
		}
		if err := f.prepare(ctx, i); err != nil {
			if f.answers[i].Err = err; errors.Is(outward(err), ErrUnavailable) {
				return err
			}
			continue
		}
		todo, places = append(todo, f.batches[i]), append(places, i)
	}
	if len(todo) == 0 {
		return nil
	}
	var again error
	for j, answer := range send(ctx, todo) {
		at := &f.answers[places[j]]
		if answer.Outcomes != nil && f.want != (broker.Confirm{}) {
			f.lanes[places[j]].can.Or(canScript)
		}
		if err := outward(answer.Err); errors.Is(err, ErrUnavailable) {
			again = err
			f.doubt(places[j], err)
		} else if err != nil && ctx.Err() != nil { // of a Cluster's pipeline it stands for whatever the calls came to
			f.doubt(places[j], err)
		}
		if answer.Outcomes == nil && at.Outcomes != nil { // it was stored all the same
			at.Confirmed = broker.Confirmed{Err: answer.Err}
		} else {
			*at = answer
		}
	}
	return again
}

// prepare does what must go before a call: nothing of it is sent where this fails.
func (f *flight) prepare(ctx context.Context, i int) error {
	if f.answers[i].Outcomes != nil {
		return nil
	}
	if err := f.lanes[i].list(ctx); err != nil {
		return err
	}
	if f.want == (broker.Confirm{}) {
		return nil
	}
	return f.lanes[i].canConfirm(ctx, f.want)
}

// What a queue's server is known to know: kinds of waits, and the script.
const (
	canWait int32 = 1 << iota
	canSync
	canScript
)

// canConfirm asks the server, once for each kind of wait, whether it can: jobs must not be stored first and then told that
// what they asked for does not exist.
func (l *lanes) canConfirm(ctx context.Context, want broker.Confirm) error {
	kind := int32(0)
	if want.Replicas > 0 {
		kind |= canWait
	}
	if want.Synced {
		kind |= canSync
	}
	if l.can.Load()&kind == kind {
		return nil
	}
	server := l.client.server
	if want.Synced && (server.Embedded() || server.Kind == "redis" && server.Known() && !server.AtLeast(7, 2)) {
		return noFsync(server.String() + " does not know WAITAOF")
	}
	err := l.client.broker.CanConfirm(ctx, l.keys, want)
	switch {
	case err == nil:
		l.can.Or(kind)
		return nil
	case errors.Is(outward(err), ErrUnavailable):
		return prelude{err}
	case strings.Contains(err.Error(), "unknown command"):
		return noFsync(fmt.Sprintf("%v says: %v", server, err))
	case strings.Contains(err.Error(), "appendonly"):
		return noFsync(fmt.Sprintf("the append-only file of %v is off (appendonly yes switches it on)", server))
	}
	return err
}

func noFsync(why string) error {
	return fmt.Errorf("%w: Durability with Fsync needs WAITAOF (Redis 7.2 or newer, or Valkey) and an append-only file: %s", ErrUnsupported, why)
}

// waitFor is how long one command may wait on connections that are held for dead after timeout (0 or less: never).
func waitFor(timeout time.Duration) time.Duration {
	if timeout <= 0 {
		return maxWait
	}
	return max(min(maxWait, timeout/4).Truncate(time.Millisecond), time.Millisecond) // there may be two of them, and a way to go
}
