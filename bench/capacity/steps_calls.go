package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/tidemill/tidemill/bench/internal/rig"
	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/queue"
)

// sessionTTL outlives the step, which sends no second heartbeat.
const sessionTTL = time.Minute

// connections is from how many at once the calls come: a busy server has several to answer in each turn of its loop.
const connections = 4

// callsStep enqueues N jobs, some in each call, and then runs them by calls that each acknowledge so many and claim as many.
// No worker can be told to fetch no more, so here the calls of its engine are made one by one: what a busy queue costs
// when its batches are small.
func callsStep(ctx context.Context, spec stepSpec) ([]rig.Metric, error) {
	spec.N = max(connections, spec.N/spec.Round) * spec.Round
	start, err := rig.MarkUsage(ctx, spec.Broker)
	if err != nil {
		return nil, err
	}
	if _, err := atOnce(ctx, spec, enqueueCalls); err != nil {
		return nil, err
	}
	ran, err := atOnce(ctx, spec, exchangeAll)
	if err != nil {
		return nil, err
	}
	if want := spec.N / connections / spec.Round * spec.Round * connections; ran != want {
		return nil, fmt.Errorf("%d of %d jobs were claimed", ran, want)
	}
	end, err := rig.MarkUsage(ctx, spec.Broker)
	return end.Per("job", ran, start, ""), err
}

// atOnce does something from several clients at once and adds up what they answer.
func atOnce(ctx context.Context, spec stepSpec, do func(context.Context, *queue.Client, stepSpec) (int, error)) (int, error) {
	group, ctx := errgroup.WithContext(ctx)
	var sum atomic.Int64
	for range connections {
		group.Go(func() error {
			c, err := open(ctx, spec)
			if err != nil {
				return err
			}
			n, err := do(ctx, c, spec)
			sum.Add(int64(n))
			return errors.Join(err, c.Close())
		})
	}
	err := group.Wait()
	return int(sum.Load()), err
}

// enqueueCalls enqueues one client's part.
func enqueueCalls(ctx context.Context, c *queue.Client, spec stepSpec) (int, error) {
	calls := spec.N / connections / spec.Round
	batch := make([]rig.Payload, spec.Round)
	for i := range calls {
		for j := range batch {
			batch[j] = rig.Sized(i*spec.Round+j, spec.Size)
		}
		if _, err := c.EnqueueMany(ctx, queue.Items(batch)); err != nil {
			return 0, err
		}
	}
	return calls * spec.Round, nil
}

// exchangeAll runs what waits, as a session of its own, and answers how many that were.
func exchangeAll(ctx context.Context, c *queue.Client, spec stepSpec) (ran int, err error) {
	space, err := keys.NewSpace(c.Namespace())
	if err != nil {
		return 0, err
	}
	q, err := space.Queue(queue.DefaultQueue)
	if err != nil {
		return 0, err
	}
	b, session := broker.New(c.Redis(), space), uuid.NewString()
	_, pulses, err := b.Heartbeat(ctx, sessionTTL, []broker.Beat{{Queue: q, Session: session, Mode: broker.Register}})
	if err == nil {
		err = pulses[0].Err
	}
	if err != nil {
		return 0, err
	}
	x := &broker.Exchange{Queue: q, Session: session, Want: spec.Round, Bytes: 1 << 20, First: spec.Round, Widen: broker.Crowd}
	for x.Seq = 1; ; x.Seq++ {
		out, errs := b.Exchange(ctx, []*broker.Exchange{x})
		if err := errors.Join(errs...); err != nil {
			return ran, err
		}
		if len(out[0].Refused) > 0 {
			return ran, fmt.Errorf("%d acknowledgements were refused", len(out[0].Refused))
		}
		x.Done = nil
		for _, job := range out[0].Jobs {
			x.Done = append(x.Done, job.Claim)
		}
		if ran += len(x.Done); len(x.Done) == 0 {
			return ran, nil
		}
	}
}
