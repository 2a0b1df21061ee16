package main

import (
	"sync/atomic"
	"time"

	"github.com/tidemill/tidemill/bench/internal/rig"
)

// starts counts handlers where more jobs wait than are measured.
type starts struct {
	want        int64
	count       atomic.Int64
	first, last atomic.Int64 // in nanoseconds since began, of the first and of the one that is wanted
	began       time.Time
	enough      chan struct{}
}

func newStarts(n int) *starts {
	return &starts{want: int64(n), began: time.Now(), enough: make(chan struct{})}
}

func (s *starts) handle(rig.Payload) {
	switch s.count.Add(1) {
	case 1:
		s.first.Store(int64(time.Since(s.began)))
	case s.want:
		s.last.Store(int64(time.Since(s.began)))
		close(s.enough)
	}
}

// took is the time from the first handler to the one that is wanted.
func (s *starts) took() time.Duration { return time.Duration(s.last.Load() - s.first.Load()) }
