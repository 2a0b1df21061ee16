package chaos

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Ways of a Link and of a Restart.
const (
	cut    = "cut"    // the connections break once
	refuse = "refuse" // and no new ones are let in
	slow   = "slow"   // replies come late
	silent = "silent" // replies do not come, then the connections break
	late   = "late"   // some requests wait, and arrive after newer ones

	killed  = "kill"
	stopped = "stop"
	frozen  = "freeze"
)

// noticed is the way of a failover that the Sentinel told of, also of one that the harness has made and notes itself.
const noticed = "noticed"

// Fault is one thing that is to go wrong.
type Fault struct {
	At   time.Duration // after the start
	Kind Kind
	Way  string        // of a Link or Restart
	Role string        // of the victim: worker or producer; "" is the server
	Slot int           // which of them
	For  time.Duration // how long it lasts; for Kill and Term: how long until the process is started again
	Part float64       // 0 to 1: the share of requests that are late, or of the reply's delay
}

func (f Fault) String() string {
	return fmt.Sprintf("%v %s %s %s %d for %v %.2f", f.At, f.Kind, f.Way, f.Role, f.Slot, f.For, f.Part)
}

// every is how often a kind strikes.
var every = map[Kind]time.Duration{Stop: 6 * time.Second, Term: 5 * time.Second, Link: 2 * time.Second, Flush: 3 * time.Second,
	Restart: 12 * time.Second, Failover: 15 * time.Second}

// NewPlan draws the faults of a run, in order. Each kind has a source of chance of its own: the others stay as they
// are when one is left out, but for kills, of which most spare workers that are stopped.
//
// A run has as many rounds as its jobs take, each of a plan of its own.
func NewPlan(o Options, round int) []Fault {
	var plan []Fault
	for i, kind := range []Kind{Kill, Stop, Term, Link, Flush, Restart, Failover} {
		if !o.has(kind) {
			continue
		}
		rnd := rand.New(rand.NewPCG(o.Seed, uint64(100*round+i)))
		step := every[kind]
		if kind == Kill {
			step = o.KillEvery
		}
		for from := step / 2; from < o.Duration; from += step {
			f := draw(o, kind, rnd)
			if f.At = from; kind != Kill { // those come by the clock
				f.At += time.Duration(rnd.Int64N(int64(step))) / 2
			}
			if f.At+f.For <= o.Duration {
				plan = append(plan, f)
			}
		}
	}
	spare(plan, o.Workers)
	slices.SortStableFunc(plan, func(a, b Fault) int { return cmp.Compare(a.At, b.At) })
	return plan
}

// spare turns most kills away from workers that stand still at the time: those are to go on afterwards, too late.
func spare(plan []Fault, workers int) {
	for i := range plan {
		f := &plan[i]
		if f.Kind != Kill || f.Role != roleWorker || f.Part < .2 {
			continue
		}
		for range workers {
			if !slices.ContainsFunc(plan, func(s Fault) bool {
				return s.Kind == Stop && s.Slot == f.Slot && s.At <= f.At && f.At <= s.At+s.For+time.Second
			}) {
				break
			}
			f.Slot = (f.Slot + 1) % workers
		}
	}
}

// draw chooses a fault's victim, way and length.
func draw(o Options, kind Kind, rnd *rand.Rand) Fault {
	between := func(least, most time.Duration) time.Duration {
		return (least + time.Duration(rnd.Int64N(int64(most-least)))).Truncate(time.Millisecond)
	}
	f := Fault{Kind: kind, Role: roleWorker, Slot: rnd.IntN(o.Workers), Part: rnd.Float64()}
	switch kind {
	case Kill:
		f.For = between(0, time.Second)
		if rnd.IntN(8) == 0 {
			f.Role, f.Slot = roleProducer, rnd.IntN(o.Producers)
		}
	case Stop: // sometimes too short to lose the session
		f.For = between(o.TTL/5, 3*o.TTL)
	case Term:
		f.For = between(0, time.Second)
	case Link:
		f.Way = []string{cut, cut, refuse, slow, silent, late}[rnd.IntN(6)]
		if f.For = between(o.TTL/10, 2*o.TTL); f.Way == cut {
			f.For = 0
		}
		if rnd.IntN(4) == 0 {
			f.Role, f.Slot = roleProducer, rnd.IntN(o.Producers)
		}
	case Restart:
		f.Role, f.Slot, f.Way = "", 0, []string{killed, killed, stopped, frozen}[rnd.IntN(4)]
		f.For = between(100*time.Millisecond, 2*o.TTL)
	default: // Flush is done in a moment, and a Failover takes what it takes
		f.Role, f.Slot, f.Part = "", 0, 0
	}
	return f
}
