package worker

import (
	"cmp"
	"slices"
	"time"

	"github.com/tidemill/tidemill/internal/broker"
)

const (
	laneCount   = 2         // exchanges under way: one in Redis while the other's jobs run
	standing    = laneCount // the lane of standing claims
	laneNumbers = laneCount + 1
	maxClaim    = 250     // jobs a call
	maxAcks     = 250     // acknowledgements a call
	claimBytes  = 1 << 20 // of envelopes a call
	ackBatch    = 128     // acknowledgements that are worth a call of their own
	ackDelay    = time.Millisecond
	maxPrefetch = 1000
)

// order is one queue's part of a round.
type order struct {
	c        *consumer
	epoch    uint64
	hints    uint64
	reserved int // slots
	call     broker.Exchange
	done     []*run
	kept     []kept
}

// pace measures how many jobs this process finishes in a few ms: so many more are worth fetching ahead. Handlers that take
// their time finish in bursts, as they were started, so that the rate is one over several windows.
type pace struct {
	since    time.Time
	finished int
	rate     float64 // jobs a window
	prefetch int
}

const (
	paceWindow = 2 * time.Millisecond
	paceOver   = 5 // windows that the rate is taken over
	paceAhead  = 3 // windows to fetch ahead for: what is left at half of it lasts for a call
)

func (p *pace) measure(now time.Time) int {
	switch passed := now.Sub(p.since); {
	case passed > 2*paceOver*paceWindow:
		*p = pace{since: now}
	case passed >= paceWindow:
		windows := float64(passed) / float64(paceWindow)
		p.rate += min(1, windows/paceOver) * (float64(p.finished)/windows - p.rate)
		p.prefetch = min(int(paceAhead*p.rate), maxPrefetch)
		p.since, p.finished = now, 0
	}
	return p.prefetch
}

// freeLocked is how many slots nobody has or has reserved; below 0 where jobs were fetched ahead.
func (w *Worker) freeLocked() int { return w.config.Concurrency - w.running - len(w.buffer) - w.wanted }

// planLocked decides what a lane sends now: which acknowledgements, and how many jobs of which queue. Without anything
// to send it answers how long to wait for acknowledgements to gather (0 = until woken).
func (w *Worker) planLocked(lane int, now time.Time) ([]*order, time.Duration) {
	shares := w.sharesLocked(now)
	idle := w.running == 0 && len(w.buffer) == 0
	var round []*order
	var wait time.Duration
	for i, c := range w.consumers {
		acks := len(c.done) + len(c.kept)
		k := 0
		if shares != nil {
			k = shares[i]
		}
		if acks == 0 && k == 0 || !c.active || c.broken != nil || c.stranded[lane] {
			continue
		}
		if age := now.Sub(c.since); k == 0 && !idle && acks < ackBatch && age < ackDelay && !w.stopping {
			if wait == 0 || ackDelay-age < wait {
				wait = ackDelay - age
			}
			continue
		}
		round = append(round, w.orderLocked(c, lane, k, now))
	}
	return round, wait
}

// sharesLocked divides the jobs to ask for among the queues, or answers nil when none are to be asked for now.
func (w *Worker) sharesLocked(now time.Time) []int {
	if w.stopping || w.quiet {
		return nil
	}
	prefetch := w.pace.measure(now)
	ahead := len(w.buffer) + w.wanted
	free := w.freeLocked()
	if free <= 0 && ahead >= prefetch/2 {
		return nil
	}
	want := min(free+prefetch, maxClaim)
	if want <= 0 {
		return nil
	}
	if w.config.Strict {
		return w.strictLocked(want)
	}
	return w.weightedLocked(want)
}

func (w *Worker) strictLocked(want int) []int {
	for i, c := range w.consumers {
		if k := min(want, c.room()); c.ready() && k > 0 {
			shares := make([]int, len(w.consumers))
			shares[i] = k
			return shares
		}
	}
	return nil
}

// weightedLocked is deficit round robin: a queue's claim on a share that was rounded away is kept for the next time.
func (w *Worker) weightedLocked(want int) []int {
	var sum int
	for _, c := range w.consumers {
		if c.ready() && c.room() > 0 {
			sum += c.weight
		} else {
			c.deficit = 0
		}
	}
	if sum == 0 {
		return nil
	}
	shares := make([]int, len(w.consumers))
	left := want
	for i, c := range w.consumers {
		if c.ready() && c.room() > 0 {
			c.deficit += float64(want*c.weight) / float64(sum)
			shares[i] = max(0, min(int(c.deficit), c.room(), left))
			c.deficit -= float64(shares[i])
			left -= shares[i]
		}
	}
	for left > 0 {
		best := -1
		for i, c := range w.consumers {
			if c.ready() && c.room() > shares[i] && (best < 0 || c.deficit > w.consumers[best].deficit) {
				best = i
			}
		}
		if best < 0 {
			break
		}
		// Jobs beyond the largest debt go to one queue at once when it is the only one.
		shares[best]++
		w.consumers[best].deficit--
		left--
	}
	for _, c := range w.consumers {
		c.deficit = max(min(c.deficit, maxClaim), -maxClaim)
	}
	return shares
}

// orderLocked takes a queue's acknowledgements and reserves the slots of what is asked for.
func (w *Worker) orderLocked(c *consumer, lane, k int, now time.Time) *order {
	o := &order{c: c, epoch: c.epoch, hints: c.hints, reserved: k}
	n := min(len(c.done), maxAcks)
	o.done = append(make([]*run, 0, n), c.done[:n]...)
	c.done = append(c.done[:0], c.done[n:]...)
	// In the order of their tokens: Redis checks a run of consecutive ones at once.
	slices.SortFunc(o.done, func(a, b *run) int { return cmp.Compare(a.claim.Token, b.claim.Token) })
	m := min(len(c.kept), maxAcks)
	o.kept = append(o.kept, c.kept[:m]...)
	c.kept = append(c.kept[:0], c.kept[m:]...)
	c.wanted += k
	w.wanted += k
	c.seqs[lane]++
	c.calls.sent(lane, c.seqs[lane], now)
	o.call = broker.Exchange{Queue: c.keys, Session: c.session, Lane: lane, Seq: c.seqs[lane], Want: k, Bytes: claimBytes,
		First: min(maxClaim, claimBytes/2/max(c.perJob, 1)), Done: make([]broker.Claim, n), Kept: make([]broker.Kept, m),
		Widen: c.widen(), Room: c.rooms[lane]}
	for i, r := range o.done {
		o.call.Done[i] = r.claim
	}
	for i := range o.kept {
		o.call.Kept[i] = o.kept[i].Kept
	}
	if k > 0 && w.suspects == 0 && w.turnLocked(c) {
		o.call.Suspect = true
		w.suspects++ // the place of the one suspect that a process tries at a time
	}
	return o
}

// widen answers from how many claimed jobs on Redis is to store the session's running ones as a set of many; 0 = it does. An
// empty set is none, and the next one is small again.
func (c *consumer) widen() int {
	held := c.running + c.buffered + len(c.done) + len(c.kept)
	if held == 0 {
		c.wide = false
	}
	if c.wide {
		return 0
	}
	return max(1, broker.Crowd-held)
}

// turnLocked tells whether a queue may try the one suspect of the process: not where another, that had its turn longer
// ago, is known to have suspects too, and will be asked. In strict order the queues before it take all turns.
func (w *Worker) turnLocked(c *consumer) bool {
	if c.turn == 0 || w.config.Strict {
		return true
	}
	for _, other := range w.consumers {
		if other.suspects && other.turn < c.turn && other.ready() {
			return false
		}
	}
	return true
}
