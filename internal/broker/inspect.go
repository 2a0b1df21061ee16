package broker

import (
	"context"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/wire"
)

// Found is one job as it stands in Redis.
type Found struct {
	NowUS    int64
	State    State
	Score    int64 // ms due (scheduled), claim token (running), ms of death (dead), ms end of retention (finished)
	Session  string
	Cancel   int64 // claim token that is to be cancelled, 0 = none
	Envelope []byte
	Record   []byte
	Result   []byte
}

// Get reads a job; State is StateUnknown where there is none.
func (b *Broker) Get(ctx context.Context, q *keys.Queue, id uuid.UUID) (Found, error) {
	r, now, word, err := b.withSessions(ctx, getScript, q, id[:], "")
	if err != nil {
		return Found{}, err
	}
	f := Found{NowUS: now, State: State(word), Score: r.Number(), Session: r.Text(), Cancel: r.Number()}
	f.Envelope, f.Record, f.Result = r.Bytes(), r.Bytes(), r.Bytes()
	return f, r.Err
}

// Counts is how many jobs a queue has in each state, and its totals by name.
type Counts struct {
	Ready, Scheduled, Running, Dead, Finished, Suspects int64
	Paused                                              bool
	Totals                                              map[string]int64
}

// Counts reads a queue's counts at a cost that does not depend on them. Ready is without ghosts and with suspects.
func (b *Broker) Counts(ctx context.Context, q *keys.Queue) (Counts, error) {
	r, _, _, err := b.withSessions(ctx, countsScript, q, "", "")
	if err != nil {
		return Counts{}, err
	}
	c := Counts{Ready: r.Number(), Scheduled: r.Number(), Running: r.Number(), Dead: r.Number(), Finished: r.Number(),
		Suspects: r.Number(), Paused: r.Flag(), Totals: make(map[string]int64)}
	for len(r.B) > 0 && r.Err == nil {
		name := r.Text()
		c.Totals[name] = r.Number()
	}
	return c, r.Err
}

// Peeked is what stands at the head of a queue. Since is since when the longest waiting of the first jobs waits (ms): the
// first of each priority and of the suspects; 0 where none is there, or none says. NextDue is of the next scheduled job
// (ms, 0 = none), Sessions how many live.
type Peeked struct {
	NowUS, Since, NextDue int64
	Sessions              int
}

// Peek looks at the head of a queue, at a cost that does not depend on how much there is.
func (b *Broker) Peek(ctx context.Context, q *keys.Queue) (Peeked, error) {
	c := newCall(peekScript, q, 1)
	c.arg(wire.PeekBytes)
	r, err := b.do(ctx, c)
	if err != nil {
		return Peeked{}, err
	}
	r.Array()
	p := Peeked{NowUS: r.Number(), NextDue: r.Number(), Sessions: int(r.Number())}
	for len(r.B) > 0 && r.Err == nil {
		envelope, record := r.Bytes(), r.Bytes()
		if since := wire.WaitingSince(envelope, record); since > 0 && (p.Since == 0 || since < p.Since) {
			p.Since = since
		}
	}
	return p, r.Err
}
