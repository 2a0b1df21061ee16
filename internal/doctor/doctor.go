package doctor

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/backoff"
	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/conn"
	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/loop"
)

// Options of a Doctor; the zero value looks at everything.
type Options struct {
	Queues   []string       // only these; all of them where there are none
	Progress func(Progress) // nil = not wanted
}

// Doctor examines and mends one namespace. It is not safe for concurrent use.
type Doctor struct {
	set     *conn.Set
	space   keys.Space
	broker  *broker.Broker
	options Options

	gather int // ids that are looked for in lists at a time
	ttl    time.Duration
	strays map[string][]string // by queue: sessions that have keys and are not listed
}

// New makes a Doctor over connections that stay the caller's.
func New(set *conn.Set, space keys.Space, o Options) *Doctor {
	return &Doctor{set: set, space: space, broker: broker.New(set.Shared(), space), options: o, gather: gatherAtMost}
}

// UnknownQueueError says that a queue that was asked for is none.
type UnknownQueueError struct {
	Name string
	All  []string
}

func (e *UnknownQueueError) Error() string {
	return fmt.Sprintf("no queue %q has been used yet", e.Name)
}

// plan is what a repair mends.
type plan struct {
	queue *keys.Queue // nil = the namespace
	bags  bags
}

// Examine looks at everything. Errors: UnknownQueueError, conn.ErrUnavailable, or the end of ctx; what can't be looked at for
// other reasons is a finding.
func (d *Doctor) Examine(ctx context.Context) (*Report, error) {
	start := time.Now()
	r := &Report{Namespace: d.space.Name(), Result: OK, Findings: []Finding{}, plans: make(map[string]*plan)}
	if err := d.servers(ctx, r); err != nil {
		return nil, err
	}
	if err := d.structures(ctx, r); err != nil {
		return nil, err
	}
	r.TookMS = time.Since(start).Milliseconds()
	return r, nil
}

func (d *Doctor) structures(ctx context.Context, r *Report) (err error) {
	if d.ttl, err = d.broker.TTL(ctx); err != nil {
		r.add(unchecked("session-ttl", err))
		if conn.Retryable(err) {
			return err
		}
	}
	names, err := d.namespace(ctx, r)
	if err != nil {
		return err
	}
	r.strays = d.strays
	for _, name := range names {
		q, err := d.space.Queue(name)
		if err != nil {
			continue // names of no queue were told
		}
		if err := d.examineQueue(ctx, r, q); err != nil {
			return err
		}
	}
	return nil
}

func unchecked(check string, err error) Finding {
	return Finding{Level: Unchecked, Check: check, Text: err.Error()}
}

// examineQueue looks at a queue, and where something is found, once more.
func (d *Doctor) examineQueue(ctx context.Context, r *Report, q *keys.Queue) error {
	first, err := d.rounds(ctx, q, nil)
	if err != nil {
		if ctx.Err() != nil || conn.Retryable(err) {
			return err
		}
		f := unchecked("structures", err)
		f.Queue = q.Name()
		r.add(f)
		return nil
	}
	found := first.bags.findings(q.Name())
	if len(first.bags) > 0 {
		r.plans[q.Name()] = &plan{queue: q, bags: first.bags}
	}
	if len(found) == 0 {
		f := Finding{Level: OK, Check: "structures", Queue: q.Name(), Text: first.sound()}
		found = append(found, f)
	}
	r.add(found...)
	r.add(first.remarks()...)
	return d.weigh(ctx, r, first)
}

// rounds looks at a queue once, and once more where something is found (that was planned, where there is a plan): what both
// found is the case.
func (d *Doctor) rounds(ctx context.Context, q *keys.Queue, planned bags) (*round, error) {
	first := d.newRound(q)
	if err := first.run(ctx); err != nil || len(first.bags) == 0 {
		return first, err
	}
	if planned != nil {
		first.bags = first.bags.planned(planned)
		return first, nil
	}
	if err := d.wait(ctx); err != nil {
		return nil, err
	}
	second := d.newRound(q)
	if err := second.run(ctx); err != nil {
		return nil, err
	}
	second.bags = first.bags.both(second.bags)
	return second, nil
}

func (d *Doctor) wait(ctx context.Context) error {
	return loop.Sleep(ctx, pauseBetween)
}

func (d *Doctor) tell(p Progress) {
	if d.options.Progress != nil {
		d.options.Progress(p)
	}
}

// patience is how long Redis may be away while a page is read.
const patience = 5 * time.Second

var again = backoff.Policy{Base: 50 * time.Millisecond, Cap: time.Second, Factor: 2, Jitter: 0.5}

// again makes a call that may be made twice until it is answered, for a while.
func (d *Doctor) again(ctx context.Context, call func() error) error {
	start := time.Now()
	return loop.Retry(ctx, again, func(context.Context) error {
		err := call()
		if !conn.Retryable(err) || time.Since(start) > patience {
			return loop.Permanent(err)
		}
		return err
	}, nil)
}

func (d *Doctor) eachBatch(ctx context.Context, ids []uuid.UUID, do func([]uuid.UUID) error) error {
	for batch := range slices.Chunk(ids, broker.MaxMend) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := do(batch); err != nil {
			return err
		}
	}
	return nil
}

func keysOf(set map[uuid.UUID]struct{}) []uuid.UUID {
	out := make([]uuid.UUID, 0, len(set))
	for id := range set {
		out = append(out, id)
	}
	return out
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
