package redistest

import (
	"sync"
	"sync/atomic"
	"time"
)

// piecesPerSecond is into how many pieces a second's worth of bytes is cut, so
// that connections take turns on a narrow line.
const piecesPerSecond = 50

// pace is one direction of a line that all connections share. Bytes arrive when
// the line would have carried them, behind those that were sent before.
type pace struct {
	rate int // bytes/s

	mu   sync.Mutex
	free time.Time // when the line has carried what it was given
}

// Bandwidth limits how many bytes a second pass towards the server (up) and
// towards the clients (down), all connections together; 0 is no limit. New
// figures take the place of the old ones.
func (f *faults) Bandwidth(up, down int) {
	set := func(at *atomic.Pointer[pace], rate int) {
		var p *pace
		if rate > 0 {
			p = &pace{rate: rate}
		}
		at.Store(p)
	}
	set(&f.upward, up)
	set(&f.downward, down)
}

// carry puts bytes on the line and returns how long until they have arrived.
func (p *pace) carry(n int) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.free.Before(now) {
		p.free = now
	}
	p.free = p.free.Add(time.Duration(n) * time.Second / time.Duration(p.rate))
	return p.free.Sub(now)
}

// write passes bytes on as fast as the line is. Nothing is left out when one of
// the sides goes away meanwhile: its bytes are under way.
func (l *link) write(at *atomic.Pointer[pace], raw []byte, pass func([]byte)) {
	for len(raw) > 0 {
		n, p := len(raw), at.Load()
		if p != nil {
			n = min(n, max(1, p.rate/piecesPerSecond))
			l.wait(p.carry(n), nil)
		}
		pass(raw[:n])
		raw = raw[n:]
	}
}
