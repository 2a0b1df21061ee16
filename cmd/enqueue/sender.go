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
	client   enqueuer
	shared   []queue.Option
	rejects  *rejects
	tally    *tally
	progress *progress

	refused     int // lines in a row that Redis refused
	refusedFrom int // the first of them
}

// enqueuer is the part of a queue.Client that is used here.
type enqueuer interface {
	EnqueueMany(ctx context.Context, items []queue.Item, options ...queue.Option) ([]queue.Result, error)
}

// refusedError ends a stream because Redis refused line after line.
type refusedError struct {
	lines, from int
	reason      string
}

func (e *refusedError) Error() string {
	return fmt.Sprintf("%s: %d lines in a row were refused; once that is mended, resume with --from-line %d", e.reason, e.lines, e.from)
}

// lostError ends a stream because Redis is gone.
type lostError struct{ err error }

func (e *lostError) Error() string { return e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

// run sends batches until there are no more, and gives them back empty. Its error ends the stream.
func (s *sender) run(batches <-chan *batch, free chan<- *batch) error {
	for b := range batches {
		if err := s.send(b); err != nil {
			return err
		}
		s.progress.add(b.size, s.tally.read())
		b.reset()
		free <- b
	}
	return nil
}

// send enqueues one batch. While Redis refuses, no more lines are tried than the limit leaves.
func (s *sender) send(b *batch) error {
	s.tally.update(func(c *counts) { c.flightTo = b.last })
	entries := b.entries
	for sent := 0; sent < len(b.items); {
		n := len(b.items) - sent
		if s.refused > 0 {
			n = min(n, refusedLimit-s.refused)
		}
		// A *BatchError says what the results say.
		results, err := s.client.EnqueueMany(s.ctx, b.items[sent:sent+n], s.shared...)
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
	s.tally.update(func(c *counts) { c.next, c.flightTo = b.last+1, 0 })
	return nil
}

// settle books the lines up to the last that has a result, and answers the rest. results[0] is that of item first.
func (s *sender) settle(b *batch, entries []entry, results []queue.Result, first int) ([]entry, error) {
	for i, e := range entries {
		if e.item >= first+len(results) {
			return entries[i:], s.rejects.flush()
		}
		reason, refused := e.reason, false
		if e.item >= 0 {
			err := results[e.item-first].Err
			if s.isLost(err) {
				s.lose(entries[i:], results, first)
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

// judge books what was accepted, and answers why a line was not.
func (s *sender) judge(err error) (reason string, refused bool) {
	switch {
	case err == nil:
		s.refused = 0
		s.tally.update(func(c *counts) { c.Enqueued++ })
		return "", false
	case errors.Is(err, queue.ErrDuplicate):
		s.tally.update(func(c *counts) { c.Duplicates++ })
		return "", false
	case errors.Is(err, queue.ErrRedisFull):
		return "redis full", true
	case errors.Is(err, queue.ErrInvalid), errors.Is(err, queue.ErrPayloadTooLarge):
		return err.Error(), false
	}
	return err.Error(), true
}

// book rejects a line that has a reason, and ends the stream when Redis refused too many in a row.
func (s *sender) book(b *batch, e entry, reason string, refused bool) error {
	if reason != "" {
		s.rejects.add(e.number, reason, b.text[e.start:e.end])
	}
	s.tally.update(func(c *counts) {
		c.next = e.number + 1
		if reason != "" {
			c.Rejected++
		}
	})
	if !refused {
		return nil
	}
	if s.refused++; s.refused == 1 {
		s.refusedFrom = e.number
	}
	if s.refused < refusedLimit {
		return nil
	}
	s.tally.update(func(c *counts) { c.next = s.refusedFrom })
	return errors.Join(&refusedError{lines: s.refused, from: s.refusedFrom, reason: reason}, s.rejects.flush())
}

// lose books a batch whose first entry was lost with Redis: what is in is counted, the rest is for the resume.
func (s *sender) lose(entries []entry, results []queue.Result, first int) {
	s.tally.update(func(c *counts) {
		c.next = entries[0].number
		for _, e := range entries {
			if e.item < 0 || e.item >= first+len(results) {
				continue
			}
			switch err := results[e.item-first].Err; {
			case err == nil:
				c.Enqueued++
				c.beyond++
			case errors.Is(err, queue.ErrDuplicate):
				c.Duplicates++
				c.beyond++
			case errors.Is(err, queue.ErrOutcomeUnknown):
				c.unsure++
			}
		}
	})
}

// isLost tells an error after which no line can be sent.
func (s *sender) isLost(err error) bool {
	for _, lost := range []error{queue.ErrUnavailable, queue.ErrOutcomeUnknown, queue.ErrClosed} {
		if errors.Is(err, lost) {
			return true
		}
	}
	return err != nil && s.ctx.Err() != nil && errors.Is(err, context.Cause(s.ctx))
}
