package script

import (
	"io"
	"sync/atomic"
)

// Sink gathers a reply's raw bytes in one piece of memory, of about the right size at once: growing by doubling would
// copy and throw away as much again as a batch of jobs holds.
type Sink struct {
	b    []byte
	hint *atomic.Int64 // the size of the last large reply of its kind; nil = not kept
}

// sinkSize is enough for every reply that carries no jobs.
const sinkSize = 512

func newSink(hint *atomic.Int64) *Sink { return &Sink{b: make([]byte, 0, sinkSize), hint: hint} }

// room makes space for n more bytes.
func (s *Sink) room(n int) {
	if need := len(s.b) + n; need > cap(s.b) {
		last := 0
		if s.hint != nil {
			last = int(s.hint.Load())
		}
		grown := make([]byte, len(s.b), max(need, 2*cap(s.b), last))
		copy(grown, s.b)
		s.b = grown
	}
}

// Write appends a reply's line.
func (s *Sink) Write(p []byte) (int, error) {
	s.room(len(p))
	s.b = append(s.b, p...)
	return len(p), nil
}

// ReadFrom appends a string of the reply, straight from the connection's buffer. go-redis hands over a reader that ends
// where the string does.
func (s *Sink) ReadFrom(r io.Reader) (int64, error) {
	start := len(s.b)
	if limited, ok := r.(*io.LimitedReader); ok {
		s.room(int(limited.N))
	}
	for {
		s.room(1)
		n, err := r.Read(s.b[len(s.b):cap(s.b)])
		s.b = s.b[:len(s.b)+n]
		if err == io.EOF {
			return int64(len(s.b) - start), nil
		}
		if err != nil {
			return int64(len(s.b) - start), err
		}
		if limited, ok := r.(*io.LimitedReader); ok && limited.N == 0 {
			return int64(len(s.b) - start), nil
		}
	}
}

// bytes is what came; its size is remembered for the next reply.
func (s *Sink) bytes() []byte {
	if len(s.b) > sinkSize && s.hint != nil {
		s.hint.Store(int64(len(s.b) + len(s.b)/8))
	}
	return s.b
}
