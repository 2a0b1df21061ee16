package worker

import (
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/queue"
)

// pageSize is how many claims a heartbeat's page lists at most; heartbeat.lua has the same number.
const pageSize = 400

// reconciliation compares what Redis holds as running here with what this process holds, a page a heartbeat. Only claims
// with tokens up to a mark are compared: the counter that an earlier heartbeat answered, once every exchange that was
// under way then has been answered. Until then a claim may be in Redis whose answer is still coming.
type reconciliation struct {
	flying [laneNumbers]uint64 // number of the exchange under way, 0 = none
	sentAt [laneNumbers]time.Time
	marked int64               // last claim token at the mark
	wait   [laneNumbers]uint64 // what was flying then
	from   int64               // where the page begins
	seen   map[broker.Claim]bool
	hurry  bool // numbers differ: go through the pages without waiting
}

func (r *reconciliation) sent(lane int, seq uint64, now time.Time) {
	r.flying[lane], r.sentAt[lane] = seq, now
}
func (r *reconciliation) answered(lane int) { r.flying[lane] = 0 }

// page answers the range of tokens to compare now; to is 0 when there is none.
func (r *reconciliation) page() (from, to int64) {
	for lane, seq := range r.wait {
		if seq != 0 && r.flying[lane] == seq {
			return 0, 0
		}
	}
	return r.from, r.marked
}

// mark notes the counter of a heartbeat that was just answered, unless an older mark still waits.
func (r *reconciliation) mark(token int64) {
	for lane, seq := range r.wait {
		if seq != 0 && r.flying[lane] == seq {
			return
		}
	}
	r.marked, r.wait = token, r.flying
}

// reconcileLocked compares a page. A claim that only Redis holds is released when two passes have seen it (one may have
// caught it between its ack and the answer); one that only we hold is lost.
func (w *Worker) reconcileLocked(c *consumer, b *broker.Beat, p *broker.Pulse) {
	if b.To == 0 {
		return
	}
	last := b.To
	if len(p.Page) >= pageSize {
		last = p.Page[len(p.Page)-1].Token
	}
	held := make(map[broker.Claim]*run)
	total := 0
	c.each(func(r *run) {
		if r.claim.Token <= b.To {
			total++
		}
		if r.claim.Token > b.From && r.claim.Token <= last {
			held[r.claim] = r
		}
	})
	strays := make(map[broker.Claim]bool)
	for _, claim := range p.Page {
		if held[claim] != nil {
			delete(held, claim)
		} else if c.calls.seen[claim] {
			w.log.Warn().Str("queue", c.name).Stringer("job_id", claim.ID).Msg("a claim that this process does not hold goes back")
			c.fails = append(c.fails, failure{Settle: broker.Settle{Claim: claim, Verdict: broker.Release}})
			c.unpaid.Set()
		} else {
			strays[claim] = true
		}
	}
	for claim, r := range held {
		w.gone(c, claim, r)
	}
	c.calls.seen = strays
	c.calls.hurry = total != p.Running && len(p.Page) >= pageSize || len(strays) > 0
	if len(p.Page) >= pageSize {
		c.calls.from = last
	} else {
		c.calls.from = 0
	}
}

// gone ends a run whose claim Redis does not hold any more. One that is being settled may just have left.
func (w *Worker) gone(c *consumer, claim broker.Claim, r *run) {
	if r.phase != started || r.lost {
		return
	}
	w.log.Error().Str("queue", c.name).Stringer("job_id", claim.ID).Msg("job's claim is gone from redis: its handler is told to end")
	r.lost = true
	c.tally.ClaimsLost++
	r.ctx.end(queue.ErrJobLost)
	w.zombies[claimKey{c, uuid.UUID(claim.ID)}] = r
}

func jitter(d time.Duration) time.Duration { return time.Duration(rand.Int64N(int64(d))) }
