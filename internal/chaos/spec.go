package chaos

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/queue"
)

const (
	roleWorker   = "worker"
	roleProducer = "producer"
)

// queues are served by every worker.
var queues = []string{"default", "mail", "bulk"}

// Args is what a job carries: its name, and how it behaves.
type Args struct {
	Name  string
	MS    int    // it takes
	Fails int    // attempts that fail before one succeeds
	Do    string // "" succeeds, dead gives up, snooze puts itself off by chance
	Deaf  bool   // it goes on when its context ends
}

// Kind is the kind of every job here.
func (Args) Kind() string { return "chaos" }

const (
	doSnooze = "snooze"
	doDead   = "dead"
)

// spec is one job. It follows from the seed and the job's name alone.
type spec struct {
	Args
	queue  string
	own    string // the caller's own id; "" is none
	twice  bool   // enqueued a second time at once, which must be refused
	parked bool   // due long after the run: it is seen as scheduled at the end
	kept   bool   // its result is kept
	opts   []queue.Option
}

// slotName is where processes of a role live one after the other; a life's name has its number behind that.
func slotName(role string, slot int) string { return fmt.Sprintf("%s-%d", role, slot) }

func slotOf(process string) string { return process[:max(0, strings.LastIndexByte(process, '-'))] }

// nameOf is the name of a producer's job.
func nameOf(slot, index int) string { return fmt.Sprintf("p%d.%d", slot, index) }

// plainGroup tells whether the job is of a batch whose jobs are all of one queue and priority, for now, and without ids of the
// caller's own: Redis stores such a batch itself.
func plainGroup(name string) (group int, plain bool) {
	_, index, _ := strings.Cut(name, ".")
	i, err := strconv.Atoi(index)
	group = i / groupSize
	return group, err == nil && group%4 == 1
}

func newSpec(seed uint64, name string) spec {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	rnd := rand.New(rand.NewPCG(seed, h.Sum64()))
	one := func(in int) bool { return rnd.IntN(in) == 0 }
	s := spec{Args: Args{Name: name, MS: rnd.IntN(20)}, queue: queues[[]int{0, 0, 0, 0, 0, 0, 1, 1, 1, 2}[rnd.IntN(10)]]}
	switch x := rnd.IntN(100); {
	case x < 1: // longer than a session lives
		s.MS = 1000 + rnd.IntN(2000)
	case x < 11:
		s.MS = 50 + rnd.IntN(200)
	}
	switch x := rnd.IntN(100); {
	case x < 10:
		s.Fails = 1 + rnd.IntN(2)
	case x < 13:
		s.Do = doSnooze
	case x < 14:
		s.Do = doDead
	}
	s.Deaf, s.kept = one(10), one(4)
	if group, plain := plainGroup(name); plain {
		s.queue = queues[group/4%len(queues)]
		s.opts = []queue.Option{queue.Queue(s.queue)}
		if s.kept {
			s.opts = append(s.opts, queue.Retain(24*time.Hour))
		}
		return s
	}
	switch x := rnd.IntN(10); {
	case x < 3:
		s.own = uuid.NewSHA1(uuid.NameSpaceOID, fmt.Appendf(nil, "%d %s", seed, name)).String()
	case x < 5:
		s.own = "job " + name
		s.twice = s.kept && one(2)
	}
	s.opts = []queue.Option{queue.Queue(s.queue)}
	if s.own != "" {
		s.opts = append(s.opts, queue.ID(s.own))
	}
	if s.kept {
		s.opts = append(s.opts, queue.Retain(24*time.Hour))
	}
	if one(5) {
		s.opts = append(s.opts, queue.Priority(1+rnd.IntN(9)))
	}
	if s.parked = one(500); s.parked {
		s.opts = append(s.opts, queue.In(24*time.Hour))
	} else if one(10) {
		s.opts = append(s.opts, queue.In(time.Duration(100+rnd.IntN(2900))*time.Millisecond))
	}
	return s
}
