package queue

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/tidemill/tidemill/internal/broker"
)

const (
	// convoyCalls is how many small calls may be without an answer.
	convoyCalls = 4
	// convoyShare is how many jobs travel together at least, where as many wait.
	convoyShare = 4
	// patience is for how long the answer to one of several small calls is looked for before this goroutine sleeps, and vainLooks
	// how many times in a row to no purpose, until the pace turns.
	patience  = 200 * time.Microsecond
	vainLooks = 8
	// sleepEvery is how often it sleeps all the same where the process has one processor: while it can run, Go looks at no other
	// connection of the process.
	sleepEvery = 2 * time.Millisecond
)

// convoy is the express connection for the single enqueues of one queue, while there are some: their shared calls follow each
// other before the first is answered, so that neither Redis nor this process sleeps between two. It belongs to whoever has
// taken the express connection.
type convoy struct {
	lanes *lanes
	s     *sharing
	calls [convoyCalls]sharedCall // a ring
	first int                     // of those under way
	under int                     // calls under way
	jobs  int                     // in them
	last  time.Time               // when the last answer came, or the convoy began
	watch bool                    // answers are looked for before sleeping
	vain  int                     // looks in a row that found none
	one   bool                    // this process has one processor
	slept time.Time               // when this goroutine last waited for one as others do
	over  bool                    // nothing more is sent here: the server says that it does not serve
	pace  pace
}

// convoy sends what waits on the express connection, which is taken, until nothing does: then it is true. It is false where
// the rest has to go another way.
func (l *lanes) convoy(s *sharing) bool {
	c := &l.client.convoy
	c.begin(l, s)
	for {
		call, landed, over := c.next()
		if over {
			return landed
		}
		if err := c.move(call); err != nil {
			c.fail(err)
			return false
		}
	}
}

func (c *convoy) begin(l *lanes, s *sharing) {
	c.lanes, c.s, c.first, c.under, c.jobs, c.last, c.over = l, s, 0, 0, 0, time.Now(), false
	c.slept, c.one = c.last, runtime.GOMAXPROCS(0) == 1
	c.watches()
	l.mu.Lock()
	s.convoy = true
	l.mu.Unlock()
}

// watches has answers looked for again, where Redis may have another processor.
func (c *convoy) watches() { c.watch, c.vain = runtime.NumCPU() > 1, 0 }

// next is the next call to send: nil where an answer is to be awaited first. Once nothing is under way, and nothing waits
// (it has landed, too) or is to be sent here, it is over, and the connection is free again.
func (c *convoy) next() (call *sharedCall, landed, over bool) {
	l, s := c.lanes, c.s
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(s.waiting)
	if c.under == 0 && (n == 0 || c.over) {
		s.convoy = false
		if n == 0 {
			l.landLocked(s)
		}
		l.client.express.Free() // and c is another's
		return nil, n == 0, true
	}
	room := c.room(n)
	if room == 0 {
		return nil, false, false
	}
	call = &c.calls[(c.first+c.under)%convoyCalls]
	call.waiters, call.start = s.pickLocked(call.waiters[:0], room), time.Now() // before any of them can be told that it is under way
	return call, false, false
}

// room is how many of those who wait, n, may travel now: in small calls that follow each other closely, or in large ones.
func (c *convoy) room(n int) int {
	switch {
	case n == 0 || c.under == convoyCalls || c.over:
		return 0
	case c.under > 0 && !c.lanes.client.express.Knows(): // a server that may not have the script gets one call at a time
		return 0
	case c.under > 0 && !c.lanes.known(time.Now()): // answers do not wait for the name to be written
		return 0
	case !c.pace.large && (c.under == 0 || n*convoyCalls >= n+c.jobs):
		return min(shareItems, max(convoyShare, (n+c.jobs+convoyCalls-1)/convoyCalls))
	case c.pace.large && (c.under == 0 || c.under < maxFlying && n >= worthFlying):
		return shareItems
	}
	return 0
}

// move sends a call, or takes the next answer where there is none to send. After an error nothing goes on here.
func (c *convoy) move(call *sharedCall) error {
	if call == nil {
		return c.receive()
	}
	l := c.lanes
	call.load(l)
	if l.list(l.client.life) != nil { // the usual way finds out why
		c.over = true
		go l.again(c.s, call.leave(), nil)
		return nil
	}
	c.under++
	c.jobs += len(call.items)
	return l.client.express.Send(&broker.Call{Batch: broker.Batch{Queue: l.keys, Stamp: call.stamp, Items: call.items}, Start: call.start})
}

// receive takes the answer of the first call under way, and tells those who wait for it.
func (c *convoy) receive() error {
	x := c.lanes.client.express
	if c.watch && !c.pace.large && c.under > 1 {
		c.look(x)
	}
	outcomes, answered, err := x.Receive()
	if err != nil && !answered {
		return err
	}
	call := &c.calls[c.first]
	c.first = (c.first + 1) % convoyCalls
	c.under--
	c.jobs -= len(call.items)
	now := time.Now()
	if err == nil {
		if c.pace.note(len(call.items), now.Sub(c.last)) {
			c.watches()
		}
		c.lanes.tell(c.s, call, outcomes, broker.Confirmed{}, nil)
		runtime.Gosched() // those who were answered first: their next jobs travel together
	} else {
		c.over = c.over || x.Away()
		if broker.Unanswered(err) {
			err = nil // it surely was not carried out
		}
		go c.lanes.again(c.s, call.leave(), err)
	}
	c.last = now
	return nil
}

// look watches for the next answer, unless it is time to wait for it as others do.
func (c *convoy) look(x *broker.Express) {
	if c.one && c.last.Sub(c.slept) > sleepEvery {
		if !x.Readable() { // else it would not wait
			c.slept = c.last
		}
		return
	}
	if x.Watch(patience) {
		c.vain = 0
	} else if c.vain++; c.vain == vainLooks {
		c.watch = false
	}
}

// fail gives the connection up. What is under way is sent again the usual way, under the same stamps.
func (c *convoy) fail(err error) {
	l, s := c.lanes, c.s
	calls := make([]*sharedCall, c.under)
	for i := range calls {
		calls[i] = c.calls[(c.first+i)%convoyCalls].leave()
	}
	l.mu.Lock()
	s.convoy = false
	l.mu.Unlock()
	l.client.express.Free() // and c is another's

	if !errors.Is(outward(err), ErrUnavailable) { // an answer that cannot be read says nothing of the calls behind it
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	l.client.conn.Refresh()
	for _, call := range calls {
		go l.again(s, call, err)
	}
}

// leave makes a call its own, for one who takes longer over it.
func (call *sharedCall) leave() *sharedCall {
	own := *call
	*call = sharedCall{}
	return &own
}

// again makes a call the usual way that failed so on the express connection; nil = it was not carried out there.
func (l *lanes) again(s *sharing, call *sharedCall, failed error) {
	outcomes, err := l.carry(l.client.life, call.start, failed, call.stamp, call.items)
	l.tell(s, call, outcomes, broker.Confirmed{}, err)
}
