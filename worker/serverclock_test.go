package worker

import (
	"math/rand/v2"
	"testing"
	"time"
)

// A call that is sent when serverClock says arrives at its time or a little after it, whatever the calls before took.
func TestServerClockReaches(t *testing.T) {
	const fastest = 50 * time.Microsecond
	var s serverClock
	now := time.Now()
	offset := time.Duration(0) // the server's clock, less the local one
	server := func(at time.Time) int64 { return at.Add(offset).UnixMicro() }
	call := func() {
		sent, there := now, now.Add(fastest+rand.N(3*time.Millisecond))
		now = there.Add(fastest + rand.N(3*time.Millisecond))
		s.read(sent, now, server(there))
	}
	for _, jump := range []time.Duration{0, time.Minute, -2 * time.Minute, 5 * time.Millisecond} {
		offset += jump
		if jump < 10*time.Millisecond { // what no call can tell from a slow one counts no longer once it is old
			now = now.Add(readingFor + time.Millisecond)
		}
		for i := range 30 {
			call()
			due := server(now)/1000 + 20
			late := server(s.reach(due).Add(fastest)) - 1000*due
			if late < -3000 || late > 1000 && i >= len(s.calls) {
				t.Errorf("after a jump of %v and %d calls: %d us late", jump, i+1, late)
			}
		}
	}
	s = serverClock{}
	call()
	if late := server(s.reach(server(now)/1000+20)) - 1000*(server(now)/1000+20); late < -3100 || late > 0 {
		t.Errorf("after a single call: %d us late", late)
	}
}
