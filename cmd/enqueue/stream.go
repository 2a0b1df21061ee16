package main

import (
	"context"
	"time"
)

// pauseFlush is how long the input of jobs may pause before what was read is sent.
const pauseFlush = 50 * time.Millisecond

// stream turns input into batches: it reads and parses while the sender sends.
type stream[T any] struct {
	ctx     context.Context // of run
	source  *source
	batches chan *batch[T]
	free    chan *batch[T]
	current *batch[T]
	parse   parser[T]
	pause   time.Duration // of the input, after which what was read is sent
	begin   place         // where the input begins
	from    int           // lines before this one are dropped
	passed  map[int]bool  // lines that are known to be done with
}

func newStream[T any](source *source, parse parser[T], pause time.Duration) *stream[T] {
	s := &stream[T]{source: source, batches: make(chan *batch[T]), free: make(chan *batch[T], 2), current: newBatch[T](), parse: parse, pause: pause}
	s.begin.line = 1
	s.free <- newBatch[T]()
	return s
}

// run reads to the end of the input or of the context, which the first signal ends or a sender that gives up, and closes
// batches. What it was gathering when the context ended is dropped: the line to resume at is before it.
func (s *stream[T]) run(ctx context.Context) error {
	defer close(s.batches)
	s.ctx = ctx
	lines := splitter{number: s.begin.line - 1, at: s.begin.offset, from: s.from, limit: maxInput, emit: s.take}
	for {
		var pause <-chan time.Time
		if s.current.last > 0 {
			pause = time.After(s.pause)
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
func (s *stream[T]) end(lines *splitter) error {
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
func (s *stream[T]) take(number int, text []byte, long bool, from, to int64) error {
	if s.passed[number] {
		s.current.pass(number, from, to)
		s.current.passed++
		return nil
	}
	if !s.current.fits(text) {
		if err := s.send(); err != nil {
			return err
		}
	}
	s.current.add(s.parse, number, text, long, from, to)
	return nil
}

// send hands the current batch over and waits for an empty one.
func (s *stream[T]) send() error {
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
