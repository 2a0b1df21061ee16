package main

import (
	"context"
	"time"
)

// pauseFlush is how long the input may pause before what was read is sent.
const pauseFlush = 50 * time.Millisecond

// stream turns input into batches: it reads and parses while the sender sends.
type stream struct {
	ctx     context.Context // ends with the first signal, or when the sender gives up
	source  *source
	batches chan *batch
	free    chan *batch
	current *batch
}

func newStream(ctx context.Context, source *source) *stream {
	s := &stream{ctx: ctx, source: source, batches: make(chan *batch), free: make(chan *batch, 2), current: newBatch()}
	s.free <- newBatch()
	return s
}

// run reads to the end of the input or of the context, and closes batches. What it was gathering when the context ended
// is dropped: the line to resume at is before it.
func (s *stream) run(from int) error {
	defer close(s.batches)
	lines := splitter{from: from, limit: maxInput, emit: s.take}
	for {
		var pause <-chan time.Time
		if s.current.last > 0 {
			pause = time.After(pauseFlush)
		}
		var err error
		select {
		case block, more := <-s.source.blocks:
			if !more {
				return s.end(&lines)
			}
			err = lines.feed(block)
			s.source.done(block)
		case <-pause:
			err = s.send()
		case <-s.ctx.Done():
			err = context.Cause(s.ctx)
		}
		if err != nil {
			return err
		}
	}
}

// end sends what is left. After a failed read the last line may be a part of one, and is left to the resume.
func (s *stream) end(lines *splitter) error {
	if s.source.err == nil {
		if err := lines.finish(); err != nil {
			return err
		}
	}
	if s.current.last > 0 {
		if err := s.send(); err != nil {
			return err
		}
	}
	return s.source.err
}

// take adds a line to the current batch, or to the next one.
func (s *stream) take(number int, text []byte, long bool, size int) error {
	if !s.current.fits(text) {
		if err := s.send(); err != nil {
			return err
		}
	}
	s.current.add(number, text, long, size)
	return nil
}

// send hands the current batch over and waits for an empty one.
func (s *stream) send() error {
	// Both could go on when the context has ended; it comes first.
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	select {
	case s.batches <- s.current:
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
	select {
	case s.current = <-s.free:
		return nil
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
}
