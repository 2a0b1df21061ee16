package broker

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/keys"
)

// Examiner looks at the structures of one queue, page by page, and mends them: for the doctor. It is not safe for
// concurrent use.
type Examiner struct {
	b        *Broker
	q        *keys.Queue
	strays   []string // sessions that are not listed, whose running keys are there
	sessions []string // all, as last read
}

// Examine makes an Examiner. Strays are sessions to be looked at beside those that the queue lists.
func (b *Broker) Examine(q *keys.Queue, strays []string) *Examiner {
	return &Examiner{b: b, q: q, strays: strays}
}

// Sessions are the queue's sessions as they were at the last call.
func (x *Examiner) Sessions() []string { return x.sessions }

// read reads the sessions anew.
func (x *Examiner) read(ctx context.Context) error {
	key := x.q.Key(keys.Sessions)
	listed, err := x.b.rdb.ZRange(ctx, key, 0, -1).Result()
	if err != nil {
		return typedKey(err, key)
	}
	for _, s := range x.strays {
		if !slices.Contains(listed, s) {
			listed = append(listed, s)
		}
	}
	x.sessions = listed
	return nil
}

// call runs a script that declares what every session runs. The sessions are read once, and again when they changed.
func (x *Examiner) call(ctx context.Context, s *transition, args ...any) (r *reply, word string, err error) {
	r, _, word, err = x.timed(ctx, s, args...)
	return r, word, err
}

// timed is call with the server's time (us).
func (x *Examiner) timed(ctx context.Context, s *transition, args ...any) (r *reply, nowUS int64, word string, err error) {
	for try := range sessionTries {
		if x.sessions == nil || try > 0 {
			if err := x.read(ctx); err != nil {
				return nil, 0, "", err
			}
		}
		running := make([]string, len(x.sessions))
		for i, session := range x.sessions {
			running[i] = x.q.Running(session)
		}
		c := newCall(s, x.q, len(args)+len(x.sessions), running...)
		c.arg(args...)
		for _, session := range x.sessions {
			c.arg(session)
		}
		r, err = x.b.do(ctx, c)
		if err != nil {
			return nil, 0, "", err
		}
		r.Array()
		nowUS = r.Number()
		if word := r.Text(); word != "CHANGED" {
			return r, nowUS, word, r.Err
		}
	}
	return nil, 0, "", fmt.Errorf("queue %q: its sessions changed %d times while they were read; try again", x.q.Name(), sessionTries)
}

// What a page is read from.
const (
	OfHash = "hash"
	OfSet  = "set"
	OfList = "list"
	ofIDs  = "ids"
)

// Spot is where the reading of a structure goes on; the zero Spot is the start. A list is read from its end: At is how far
// from there its last entry was.
type Spot struct{ At, Mark string }

// Kinds of what jobs holds for an id.
const (
	HoldsNothing = iota
	HoldsTombstone
	HoldsJob
)

// Places where an id is, as bits.
const (
	InScheduled = 1 << iota
	InDead
	InFinished
)

// Fact is what is known of an id at one moment.
type Fact struct {
	ID         uuid.UUID
	Entry      uint8 // generation of the list entry; of lists only
	Holds      uint8
	Stones     uint8 // stale entries that a tombstone counts
	Places     uint8
	Claims     uint8 // sessions that run it
	Record     uint8 // 0 = none, 1 = whole, 2 = cut off
	Flags      uint8 // of the record, as the next two
	Generation uint8
	Ghosts     uint8
	Mark       uint8 // to be cancelled: 0 = no, 1 = names its claim, 2 = names none
	Result     bool
}

const factSize = 27

func (f *Fact) read(b []byte) {
	*f = Fact{ID: uuid.UUID(b[:16]), Entry: b[16], Holds: b[17], Stones: b[18], Places: b[19], Claims: b[20], Record: b[21],
		Flags: b[22], Generation: b[23], Ghosts: b[24], Mark: b[25], Result: b[26] == 1}
}

// Books is what a queue's counters say of stale list entries.
type Books struct{ Ghosts, SuspectGhosts string }

// Facts is a page of a structure.
type Facts struct {
	Facts []Fact
	Odd   []string // members that are no ids
	Next  Spot
	Done  bool
	NowMS int64
	Bytes int // of the values that were read, which says how large the next page may be
	Books Books
}

// Page reads about count ids of a hash, a sorted set or a list of the queue, by its key, from a spot on. A scan may answer
// an id twice. In a list it answers every entry that stays where it is.
func (x *Examiner) Page(ctx context.Context, key, of string, count int, from Spot) (Facts, error) {
	if from.At == "" {
		from.At = "0"
	}
	return x.facts(ctx, key, of, count, from.At, from.Mark)
}

// Look reads what is known of some ids.
func (x *Examiner) Look(ctx context.Context, ids []uuid.UUID) (Facts, error) {
	return x.facts(ctx, x.q.Key(keys.Jobs), ofIDs, 0, "0", packed(ids))
}

func (x *Examiner) facts(ctx context.Context, key, of string, args ...any) (out Facts, err error) {
	r, now, word, err := x.timed(ctx, examineScript, append([]any{key, of}, args...)...)
	if err != nil {
		return out, err
	}
	out.NowMS = now / 1000
	out.Next = Spot{At: r.Text(), Mark: r.Text()}
	out.Done = out.Next.At == "0" && word == "OK"
	out.Bytes = int(r.Number())
	out.Books = Books{Ghosts: r.Text(), SuspectGhosts: r.Text()}
	raw := r.Bytes()
	if r.Err == nil && len(raw)%factSize != 0 {
		r.Fail("facts are cut off")
	}
	out.Facts = make([]Fact, len(raw)/factSize)
	for i := range out.Facts {
		out.Facts[i].read(raw[factSize*i:])
	}
	for range r.Array() {
		out.Odd = append(out.Odd, r.Text())
	}
	return out, r.Err
}

func packed(ids []uuid.UUID) []byte {
	out := make([]byte, 0, 16*len(ids))
	for i := range ids {
		out = append(out, ids[i][:]...)
	}
	return out
}
