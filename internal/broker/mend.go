package broker

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/keys"
)

// MaxMend is how many ids one call of Untangle, Requeue or Clear may name.
const MaxMend = 50

// Mended is what became of one defect.
type Mended byte

// Outcomes of a repair; of one that only looked, what it would do.
const (
	MendDone  Mended = 'm'
	MendSound Mended = 's' // the defect is not there (any more)
	MendFull  Mended = 'f' // the job moved too often while it waited: it must run first
	MendMoved Mended = 'v' // it is not where it was seen any more
)

// until is the deadline of a repair, "" for one that only looks.
func (x *Examiner) until(ctx context.Context, dry bool) (any, error) {
	if dry {
		return "", nil
	}
	return x.b.deadline(ctx, x.q.Key(keys.Meta))
}

// Untangle leaves jobs that several sorted sets hold in one of them. Dry only looks, here and below.
func (x *Examiner) Untangle(ctx context.Context, dry bool, ids []uuid.UUID) ([]Mended, error) {
	return x.mend(ctx, untangleScript, dry, ids)
}

// Clear takes away what is left of jobs that are gone.
func (x *Examiner) Clear(ctx context.Context, dry bool, ids []uuid.UUID) ([]Mended, error) {
	return x.mend(ctx, clearScript, dry, ids)
}

// Requeue makes jobs that are in no state ready, or dead with a record where one is given.
func (x *Examiner) Requeue(ctx context.Context, dry bool, ids []uuid.UUID, record []byte) ([]Mended, error) {
	return x.mend(ctx, requeueScript, dry, ids, record)
}

func (x *Examiner) mend(ctx context.Context, s *transition, dry bool, ids []uuid.UUID, more ...any) ([]Mended, error) {
	until, err := x.until(ctx, dry)
	if err != nil {
		return nil, err
	}
	r, _, err := x.call(ctx, s, append([]any{until, packed(ids)}, more...)...)
	if err != nil {
		return nil, err
	}
	out := []Mended(r.Text())
	if r.Err == nil && len(out) != len(ids) {
		r.Fail("outcomes and jobs differ in number")
	}
	return out, r.Err
}

// Stand is where a list entry was seen: in the list at a place of the fixed keys, so far from its end.
type Stand struct{ List, At int }

func stands(places []Stand) string {
	parts := make([]string, len(places))
	for i, p := range places {
		parts[i] = fmt.Sprintf("%d:%d", p.List, p.At)
	}
	return strings.Join(parts, ",")
}

// EntryOf is a list entry of an id.
func EntryOf(id uuid.UUID, generation uint8) string {
	if generation == 0 {
		return string(id[:])
	}
	return string(append(id[:], generation))
}

// Entry mends the list entries of one id that were seen at some places.
func (x *Examiner) Entry(ctx context.Context, dry bool, entry string, places []Stand) (Mended, error) {
	until, err := x.until(ctx, dry)
	if err != nil {
		return 0, err
	}
	_, word, err := x.call(ctx, entryScript, until, entry, stands(places))
	if err != nil {
		return 0, err
	}
	return map[string]Mended{"OK": MendDone, "SOUND": MendSound, "MOVED": MendMoved, "FULL": MendFull}[word], nil
}

// Number is a number that is wrong: the stale entries of a job as its tombstone (Generation -1) or its record counts them,
// or, where Field is named, one of the queue's meta.
type Number struct {
	ID         uuid.UUID
	Generation int
	Seen, To   int
	Stale      []Stale

	Field          string
	Value, Instead string // as it was seen, and as it is to be ("" = away with it)
}

// Stale is a stale list entry, and where it was seen.
type Stale struct {
	Entry string
	Stand
}

// Recount sets numbers right that still are as they were seen.
func (x *Examiner) Recount(ctx context.Context, dry bool, numbers []Number) ([]Mended, error) {
	until, err := x.until(ctx, dry)
	if err != nil {
		return nil, err
	}
	c := newCall(recountScript, x.q, 1+5*len(numbers))
	c.arg(until)
	for i := range numbers {
		n := &numbers[i]
		if n.Field != "" {
			c.arg("field", n.Field, n.Value, n.Instead, "")
			continue
		}
		places := make([]string, len(n.Stale))
		for j, s := range n.Stale {
			places[j] = fmt.Sprintf("%d:%d:%s", s.List, s.At, hex.EncodeToString([]byte(s.Entry)))
		}
		c.arg("id", n.ID[:], fmt.Sprintf("%d %d", n.Generation, n.Seen), n.To, strings.Join(places, ","))
	}
	r, err := x.b.do(ctx, c)
	if err != nil {
		return nil, err
	}
	r.Array()
	r.Number()
	out := []Mended(r.Text())
	if r.Err == nil && len(out) != len(numbers) {
		r.Fail("outcomes and numbers differ in number")
	}
	return out, r.Err
}

// Adopted is what adopt did with a session, or would do.
type Adopted string

// Outcomes of adopt.
const (
	AdoptLost    Adopted = "LOST"    // listed as lost: its jobs will be recovered
	AdoptCleared Adopted = "CLEARED" // it had call records alone, which are gone
	AdoptClamped Adopted = "CLAMPED" // it expires in time now
	AdoptSound   Adopted = "SOUND"
)

// Adopt mends a session, and answers how many jobs it has. One that expires later than far from now is clamped to ttl.
func (x *Examiner) Adopt(ctx context.Context, dry bool, session string, far, ttl time.Duration) (Adopted, int64, error) {
	until, err := x.until(ctx, dry)
	if err != nil {
		return "", 0, err
	}
	c := newCall(adoptScript, x.q, 4, x.q.Running(session), x.q.Lanes(session))
	c.arg(until, session, far.Milliseconds(), ttl.Milliseconds())
	r, err := x.b.do(ctx, c)
	if err != nil {
		return "", 0, err
	}
	r.Array()
	r.Number()
	word := r.Text()
	return Adopted(word), r.Number(), r.Err
}

// Aside renames a key that does not hold the type that it should.
func (b *Broker) Aside(ctx context.Context, dry bool, key, to, kind string) (Mended, error) {
	var until any = ""
	if !dry {
		ms, err := b.deadline(ctx, key)
		if err != nil {
			return 0, err
		}
		until = ms
	}
	c := &call{script: asideScript}
	c.arg("EVALSHA", asideScript.Arg(), 2, key, to, until, kind)
	r, err := b.do(ctx, c)
	if err != nil {
		return 0, err
	}
	r.Array()
	r.Number()
	if r.Text() == "OK" {
		return MendDone, r.Err
	}
	return MendSound, r.Err
}
