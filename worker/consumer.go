package worker

import (
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/loop"
)

// consumer is one queue as this worker serves it. Its fields are guarded by Worker.mu, but for the immutable first ones.
type consumer struct {
	keys   *keys.Queue
	name   string
	weight int
	limit  int           // handlers at most; 0 = no bound of its own
	unpaid *loop.Trigger // wakes the settler
	tells  atomic.Bool   // events of its jobs are published

	session  string
	epoch    uint64 // counts sessions: what belongs to an older one is not ours any more
	active   bool   // the session is registered
	listed   bool   // the queue's name was written since then
	maybe    bool   // there may be work to claim
	hints    uint64 // counts wake-ups, so that one that comes during a call is not forgotten
	paused   bool
	broken   error // a key of the wrong type, or what else Redis refuses
	suspects bool  // suspects wait
	turn     int   // when it last claimed a suspect: by the count of those that the process claimed; 0 = never
	deficit  float64
	perJob   int  // bytes of an envelope, by the last batch
	wide     bool // Redis stores its running jobs as a set of many

	running, buffered, wanted int
	handlers                  [tags]*run // that run, by the tag of their job: the head of each chain

	done     []*run // succeeded, not acknowledged yet
	kept     []kept
	fails    []failure
	since    time.Time // when the oldest of done and kept came
	seqs     [laneNumbers]uint64
	stranded [laneNumbers]bool             // a call of the lane is not answered by this queue's part of a Cluster
	rooms    [laneNumbers][]broker.Claimed // for the answers to its calls, used again
	failed   uint64                        // number of the settler's last call
	held     []*batch

	calls  reconciliation
	series atomic.Pointer[map[string]*series] // what was measured, by kind

	// For Health.
	heard   time.Time // when Redis last answered a heartbeat
	telling time.Time // when the settling call under way began; zero = none is
	tally   Tally
}

// tags is how many there are: few of a thousand running jobs share one, and a dozen of fifty thousand.
const tags = 1 << 12

// batch is the jobs of one claim. The runs live in one piece of memory, which is used again once all are settled; their
// contexts in another, which is not, since handlers may leave goroutines behind that hold one.
type batch struct {
	runs     []run
	contexts []jobContext
	open     int // not yet settled
	at       time.Time
	held     bool // by a handler that did not return though its claim is settled: the memory is not used again
}

// phase is where a run is in this process.
type phase uint8

const (
	buffered phase = iota
	started
	settling // its ack or failure waits to be answered
	gone
)

// run is one claimed job.
type run struct {
	c        *consumer
	batch    *batch
	epoch    uint64
	claim    broker.Claim
	envelope []byte
	state    []byte
	next     *run // of the handlers with its tag
	ctx      *jobContext
	began    time.Time // the attempt
	phase    phase
	suspect  bool
	lost     bool  // the claim is gone: nothing may be written for it
	told     bool  // reported as stuck
	tale     *tale // what is told of it; mostly nothing
}

// kept is an acknowledgement of a job that is kept.
type kept struct {
	run *run
	broker.Kept
}

// failure is a claim that ends other than in success. Run is nil for one that this process never held.
type failure struct {
	run *run
	broker.Settle
}

func newConsumer(k *keys.Queue, q Queue) *consumer {
	c := &consumer{keys: k, name: k.Name(), weight: q.Weight, limit: q.Concurrency, unpaid: loop.NewTrigger(),
		session: uuid.NewString(), perJob: 512}
	c.tells.Store(q.Lifecycle)
	return c
}

// ready tells whether the queue may be asked for work.
func (c *consumer) ready() bool {
	return c.active && c.maybe && !c.paused && c.broken == nil && c.stranded == [laneNumbers]bool{}
}

// room is how many more jobs the queue's own bound allows.
func (c *consumer) room() int {
	if c.limit == 0 {
		return 1 << 30
	}
	return max(0, c.limit-c.running-c.buffered-c.wanted)
}

func (c *consumer) hint() {
	c.maybe = true
	c.hints++
}

// tag is a number that two runs of one id share, and others hardly ever.
func tag(id uuid.UUID) uint16 { return binary.BigEndian.Uint16(id[14:]) % tags }

// enter notes that a run's handler is about to be called.
func (c *consumer) enter(r *run) {
	head := &c.handlers[tag(r.claim.ID)]
	r.next, *head = *head, r
	c.running++
}

// leave notes that it has returned.
func (c *consumer) leave(r *run) {
	at := &c.handlers[tag(r.claim.ID)]
	for *at != r {
		at = &(*at).next
	}
	*at, r.next = r.next, nil
	c.running--
}

// twin answers the run of an id whose handler has not returned, nil if there is none.
func (c *consumer) twin(id uuid.UUID) *run {
	r := c.handlers[tag(id)]
	for r != nil && r.claim.ID != id {
		r = r.next
	}
	return r
}

// settled says that nothing is owed for a run any more.
func (r *run) settled() {
	if r.phase == gone {
		return
	}
	r.phase = gone
	r.batch.open--
}

// holdLocked keeps a batch until all its runs are settled, and forgets those that are.
func (w *Worker) holdLocked(c *consumer, b *batch) {
	rest := c.held[:0]
	for _, old := range c.held {
		if old.open > 0 {
			rest = append(rest, old)
		} else if !old.held {
			w.spareLocked(old)
		}
	}
	clear(c.held[len(rest):])
	c.held = append(rest, b)
}

// each calls fn for every run that is held.
func (c *consumer) each(fn func(*run)) {
	for _, b := range c.held {
		if b.open == 0 {
			continue
		}
		for i := range b.runs {
			if b.runs[i].phase != gone {
				fn(&b.runs[i])
			}
		}
	}
}

// renew starts a new session, after the old one was lost: its buffer and unsent acknowledgements are dropped, its
// handlers end and what they return is ignored.
func (w *Worker) renewLocked(c *consumer, cause error) {
	w.dropBufferedLocked(c)
	c.each(func(r *run) {
		if r.phase == started {
			r.lost = true
			r.ctx.end(cause)
			w.zombies[claimKey{c, r.claim.ID}] = r
		}
	})
	c.done, c.kept, c.fails, c.held = nil, nil, nil, nil
	c.session, c.epoch, c.active, c.listed = uuid.NewString(), c.epoch+1, false, false
	c.telling = time.Time{}
	c.tally.SessionsLost++
	c.seqs, c.failed, c.calls = [laneNumbers]uint64{}, 0, reconciliation{}
	c.hint()
	w.announcer.tell() // its line names the sessions
}

// dropBufferedLocked forgets what was fetched ahead for a queue.
func (w *Worker) dropBufferedLocked(c *consumer) {
	rest := w.buffer[:0]
	for _, r := range w.buffer {
		if r.c == c {
			w.unsuspectLocked(r)
			r.settled()
		} else {
			rest = append(rest, r)
		}
	}
	clear(w.buffer[len(rest):])
	w.buffer, c.buffered = rest, 0
}

// unsuspectLocked frees the place of the one suspect that a process tries at a time.
func (w *Worker) unsuspectLocked(r *run) {
	if r.suspect {
		r.suspect = false
		w.suspects--
		w.hintSuspectsLocked()
	}
}

// hintSuspectsLocked has every queue looked at that is known to have suspects.
func (w *Worker) hintSuspectsLocked() {
	for _, c := range w.consumers {
		if c.suspects {
			c.hint()
		}
	}
}
