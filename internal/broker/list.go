package broker

import (
	"context"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/keys"
)

// Bounds of one call of List: it must not hold up the server.
const (
	MaxPage   = 100
	pageBytes = 256 << 10
)

// Place is where in a state's jobs a listing goes on; lua/list.lua says what its parts are. The zero Place is the start
// of every state but ready, which starts at MaxPriority. Where Mark is empty, At and Last narrow a sorted set down to the
// scores from At (0 = all) to Last (0 = what is there when it begins).
type Place struct {
	Priority int
	At       int64
	Mark     string
	Last     int64
}

// Listed is a job on a page, and the Place behind it.
type Listed struct {
	ID    uuid.UUID
	Place Place
	Found
}

// Page is one answer of List. An empty one need not be the last.
type Page struct {
	Jobs []Listed
	Next Place
	Done bool
}

// List reads up to count jobs of one state (ready, suspect, scheduled, running, dead, finished), 256 KiB of them, and
// goes on where the page before ended. Jobs are without their results. One that moves while others are listed may be missed, or met twice;
// nothing else is.
func (b *Broker) List(ctx context.Context, q *keys.Queue, state State, count int, from Place) (Page, error) {
	args := []any{string(state), min(count, MaxPage), pageBytes, from.Priority, number(from.At), from.Mark, number(from.Last)}
	if from.Mark != "" { // 0 is a number then
		args[6] = from.Last
	}
	var r *reply
	var now int64
	var word string
	var err error
	if state == StateRunning {
		r, now, word, err = b.withSessions(ctx, listScript, q, args...)
	} else {
		c := newCall(listScript, q, len(args))
		c.arg(args...)
		if r, err = b.do(ctx, c); err == nil {
			r.Array()
			now, word, err = r.Number(), r.Text(), r.Err
		}
	}
	if err != nil {
		return Page{}, err
	}
	page := Page{Done: word == "DONE"}
	page.Next = Place{Priority: int(r.Number()), At: r.Number(), Mark: r.Text(), Last: r.Number()}
	if state == StateSuspect {
		state = StateReady
	}
	for len(r.B) > 0 && r.Err == nil {
		place := Place{Priority: page.Next.Priority, At: r.Number(), Mark: r.Text(), Last: r.Number()}
		if len(place.Mark) < 16 {
			r.Fail("a job has an id of 16 bytes")
			break
		}
		one := Listed{ID: uuid.UUID([]byte(place.Mark[:16])), Place: place, Found: Found{NowUS: now, State: state}}
		if state != StateReady {
			one.Score = place.At
		}
		one.Session, one.Cancel, one.Envelope, one.Record = r.Text(), r.Number(), r.Bytes(), r.Bytes()
		page.Jobs = append(page.Jobs, one)
	}
	return page, r.Err
}

// number is a script's argument, empty for 0.
func number(n int64) any {
	if n == 0 {
		return ""
	}
	return n
}
