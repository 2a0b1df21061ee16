package worker

import "time"

// serverClock tells when it will be what time at a server, by the last calls that it answered with its time. A call is
// carried out between the moment it is sent and that of its answer, which bounds what the two clocks differ by.
type serverClock struct {
	base  time.Time // where local times count from: they must not jump
	calls [8]reading
	next  int
}

// reading is one answer: the local time less the server's (us), if the clock was read when the call was sent, and if it
// was when its answer came.
type reading struct {
	at         time.Time // zero = none
	sent, came int64
}

// readingFor is how long a reading counts: clocks drift by some 50 us in a second.
const readingFor = 2 * time.Second

// read notes that the server answered its time (us) to a call.
func (s *serverClock) read(sent, came time.Time, serverUS int64) {
	if s.base.IsZero() {
		s.base = sent
	}
	s.calls[s.next] = reading{at: came, sent: sent.Sub(s.base).Microseconds() - serverUS, came: came.Sub(s.base).Microseconds() - serverUS}
	s.next = (s.next + 1) % len(s.calls)
}

// reach is when to send a call that is to be carried out at a server time (ms) and not before, if it gets there as fast as
// the fastest of late. A reading that those after it rule out is of a time before one of the clocks jumped.
func (s *serverClock) reach(ms int64) time.Time {
	last := s.calls[(s.next+len(s.calls)-1)%len(s.calls)]
	least, most := last.sent, last.came
	for i := 2; i <= len(s.calls); i++ {
		r := s.calls[(s.next+len(s.calls)-i)%len(s.calls)]
		if r.at.IsZero() || last.at.Sub(r.at) > readingFor || max(least, r.sent) > min(most, r.came) {
			break
		}
		least, most = max(least, r.sent), min(most, r.came)
	}
	return s.base.Add(time.Duration(ms*1000+least) * time.Microsecond)
}
