package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/tidemill/tidemill/queue"
)

// refusedLimit is how many lines in a row Redis may refuse before the stream ends.
const refusedLimit = 10_000

// sender enqueues batches and settles their lines, in order.
type sender struct {
	ctx      context.Context // ends with the second signal
	soft     context.Context // ends with the first
	client   enqueuer
	places   func() map[string]uint64 // the last line that each queue surely has, by the offset file's input
	shared   []queue.Option
	rejects  *rejects
	offsets  *offsets // nil: none is kept
	tally    *tally
	progress *progress
	tell     func(format string, args ...any) // people

	waits    bool // for a full Redis
	toldFull bool // that it is

	refused     int   // lines in a row that Redis refused
	refusedFrom place // the first of them
}

// jobs is what it is given.
type jobs = batch[queue.Item]

// enqueuer is the part of a queue.Input that is used here: places are the numbers of the items' lines.
type enqueuer interface {
	EnqueueMany(ctx context.Context, places []uint64, items []queue.Item, options ...queue.Option) ([]queue.Result, error)
}

// placeless is a client, which does not care for places.
type placeless struct{ *queue.Client }

func (p placeless) EnqueueMany(ctx context.Context, _ []uint64, items []queue.Item, options ...queue.Option) ([]queue.Result, error) {
	return p.Client.EnqueueMany(ctx, items, options...)
}

// refusedError ends a stream because Redis refused line after line.
type refusedError struct {
	lines  int
	reason string
}

func (e *refusedError) Error() string {
	return fmt.Sprintf("%s: %d lines in a row were refused", e.reason, e.lines)
}

// lostError ends a stream because Redis is gone.
type lostError struct{ err error }

func (e *lostError) Error() string { return e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

// run sends batches until there are no more, and gives them back empty. Its error ends the stream.
func (s *sender) run(batches <-chan *jobs, free chan<- *jobs) error {
	for b := range batches {
		if err := s.send(b); err != nil {
			return err
		}
		c := s.tally.read()
		if err := s.offsets.advance(c, s.known()); err != nil {
			return err
		}
		s.progress.add(b.size, c.lines())
		b.reset()
		free <- b
	}
	return nil
}

// known is the last line that each queue surely has.
func (s *sender) known() map[string]uint64 {
	if s.places == nil {
		return nil
	}
	return s.places()
}

// send enqueues one batch. While Redis refuses, no more lines are tried than the limit leaves.
func (s *sender) send(b *jobs) error {
	s.tally.update(func(c *counts) { c.flightTo = b.last })
	entries := b.entries
	for sent := 0; sent < len(b.items); {
		n := len(b.items) - sent
		if s.refused > 0 {
			n = min(n, refusedLimit-s.refused)
		}
		// A *BatchError says what the results say.
		results, err := s.enqueue(b.places[sent:sent+n], b.items[sent:sent+n])
		if results == nil {
			return err
		}
		if entries, err = s.settle(b, entries, results, sent); err != nil {
			return err
		}
		sent += n
	}
	if _, err := s.settle(b, entries, nil, len(b.items)); err != nil {
		return err
	}
	s.tally.update(func(c *counts) { c.place, c.flightTo, c.passed = place{b.last + 1, b.to}, 0, c.passed+b.passed })
	return nil
}

// settle books the lines up to the last that has a result, and answers the rest. results[0] is that of item first.
func (s *sender) settle(b *jobs, entries []entry, results []queue.Result, first int) ([]entry, error) {
	for i, e := range entries {
		if e.item >= first+len(results) {
			return entries[i:], s.rejects.flush()
		}
		reason, refused := e.reason, false
		if e.item >= 0 {
			err := results[e.item-first].Err
			if s.isLost(err) {
				s.lose(entries[i:], results, first)
				if errors.Is(err, queue.ErrRedisFull) {
					return nil, errors.Join(s.fullError(err), s.rejects.flush())
				}
				return nil, errors.Join(&lostError{err}, s.rejects.flush())
			}
			reason, refused = s.judge(err)
		}
		if err := s.book(b, e, reason, refused); err != nil {
			return nil, err
		}
	}
	return nil, s.rejects.flush()
}

// stored tells that a line's job was created.
func stored(err error) bool {
	return err == nil || errors.Is(err, queue.ErrNotConfirmed) && !errors.Is(err, queue.ErrDuplicate)
}

// judge books what was accepted, and answers why a line was not.
func (s *sender) judge(err error) (reason string, refused bool) {
	if errors.Is(err, queue.ErrNotConfirmed) {
		s.tally.update(func(c *counts) { c.Unconfirmed++ })
	}
	switch {
	case stored(err):
		s.refused = 0
		s.tally.update(func(c *counts) { c.Enqueued++ })
		return "", false
	case errors.Is(err, queue.ErrDuplicate):
		s.tally.update(func(c *counts) { c.Duplicates++ })
		return "", false
	case errors.Is(err, queue.ErrAlreadyIn):
		s.tally.update(func(c *counts) { c.AlreadyIn++ })
		return "", false
	case errors.Is(err, queue.ErrRedisFull):
		return "redis full", true
	case errors.Is(err, queue.ErrInvalid), errors.Is(err, queue.ErrPayloadTooLarge):
		return err.Error(), false
	}
	return err.Error(), true
}

// book rejects a line that has a reason, and ends the stream when Redis refused too many in a row.
func (s *sender) book(b *jobs, e entry, reason string, refused bool) error {
	if reason != "" {
		s.rejects.add(e.number, reason, b.text[e.start:e.end])
	}
	s.tally.update(func(c *counts) {
		c.place = place{e.number + 1, e.to}
		if reason != "" {
			c.Rejected++
		}
	})
	if !refused {
		return nil
	}
	if s.refused++; s.refused == 1 {
		s.refusedFrom = place{e.number, e.from}
	}
	if s.refused < refusedLimit {
		return nil
	}
	s.tally.update(func(c *counts) { c.place = s.refusedFrom })
	return errors.Join(&refusedError{lines: s.refused, reason: reason}, s.rejects.flush())
}

// lose books a batch whose first entry was lost with Redis: what is in is counted, the rest is for the resume.
func (s *sender) lose(entries []entry, results []queue.Result, first int) {
	s.tally.update(func(c *counts) {
		c.place = place{entries[0].number, entries[0].from}
		for _, e := range entries {
			if e.item < 0 || e.item >= first+len(results) {
				continue
			}
			err := results[e.item-first].Err
			if errors.Is(err, queue.ErrNotConfirmed) {
				c.Unconfirmed++
			}
			switch {
			case stored(err):
				c.Enqueued++
				c.beyond++
			case errors.Is(err, queue.ErrDuplicate):
				c.Duplicates++
				c.beyond++
				c.beyondDuplicates++
			case errors.Is(err, queue.ErrAlreadyIn):
				c.AlreadyIn++
				c.beyond++
			case errors.Is(err, queue.ErrOutcomeUnknown):
				c.unsure++
			}
		}
	})
}

// isLost tells an error after which no line can be sent.
func (s *sender) isLost(err error) bool {
	if errors.Is(err, queue.ErrNotConfirmed) {
		return false
	}
	for _, lost := range []error{queue.ErrUnavailable, queue.ErrOutcomeUnknown, queue.ErrClosed, queue.ErrConflict, queue.ErrUnsupported} {
		if errors.Is(err, lost) {
			return true
		}
	}
	var offset *offsetError
	if errors.As(err, &offset) || s.waits && errors.Is(err, queue.ErrRedisFull) {
		return true
	}
	return err != nil && s.ctx.Err() != nil && errors.Is(err, context.Cause(s.ctx))
}
