package rig

import (
	"sync"
	"time"

	"github.com/tidemill/tidemill/internal/loop"
)

// Pauses has handlers wait for the same time each: for one timer of the kernel's, which wakes all that are due. Where a processor
// is free it is late by pauseStep at most, where time.Sleep is so by up to a millisecond: Go's runtime sleeps in whole ones on
// Linux. Safe for concurrent use.
type Pauses struct {
	each  time.Duration
	alarm *loop.Alarm

	mu      sync.Mutex
	waiting []pause // the first to end first
}

type pause struct {
	until time.Time
	over  chan struct{}
}

// pauseStep is the least time between two wakings.
const pauseStep = 50 * time.Microsecond

// NewPauses makes pauses of one length, above 0. They go on until the process ends.
func NewPauses(each time.Duration) *Pauses {
	p := &Pauses{each: each, alarm: loop.NewAlarm()}
	go p.run()
	return p
}

// Pause returns once the time is over.
func (p *Pauses) Pause() {
	p.mu.Lock()
	w := pause{until: time.Now().Add(p.each), over: make(chan struct{})}
	if p.waiting = append(p.waiting, w); len(p.waiting) == 1 {
		p.alarm.Set(p.each)
	}
	p.mu.Unlock()
	<-w.over
}

func (p *Pauses) run() {
	for range p.alarm.C() {
		p.mu.Lock()
		now, n := time.Now(), 0
		for n < len(p.waiting) && !p.waiting[n].until.After(now) {
			close(p.waiting[n].over)
			p.waiting[n] = pause{}
			n++
		}
		if p.waiting = p.waiting[n:]; len(p.waiting) > 0 {
			p.alarm.Set(max(time.Until(p.waiting[0].until), pauseStep))
		}
		p.mu.Unlock()
	}
}
