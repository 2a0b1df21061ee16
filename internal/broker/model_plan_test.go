package broker_test

import (
	"math/rand/v2"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/wire"
)

const (
	modelIDs     = 30
	modelWorkers = 3
)

// step is one step of a plan. What its numbers mean depends on what it does and on what there is when it is done.
type step struct {
	Do   string
	N    [6]int
	Lost bool // the reply is lost, and the call sent again
}

// pick answers one of n choices by the i-th number.
func (s step) pick(i, n int) int {
	if n <= 0 {
		return 0
	}
	return s.N[i] % n
}

// doings are the steps, each as often as it should come up.
var doings = []string{
	"enqueue", "enqueue", "enqueue", "enqueue", "enqueue", "enqueue", "enqueue", "rush", "rush", "rush",
	"exchange", "exchange", "exchange", "exchange", "exchange", "exchange", "exchange", "exchange", "exchange",
	"fail", "fail", "fail", "fail", "fail", "fail", "fail",
	"beat", "beat", "beats", "beats", "crash", "bye", "recover", "lapse", "lapse", "lapse",
	"advance", "advance", "promote", "promote", "promote", "sweep", "nudge", "pop",
	"cancel", "cancel", "delete", "edit", "edit", "edit", "edit", "redrive", "redrive", "redrive",
	"pause", "resume", "resume", "resume", "purge",
	"ghost", "ghost", "ghost", "ghost", "ghost", "look",
}

// planSteps is the length of a plan before some of its steps are left out.
const planSteps = 90

// planGen draws plans. rapid prefers small numbers and first choices, which makes dull plans, so it draws the bits of a
// seed and which of the steps that follow from it to keep: a failing plan shrinks by leaving steps out.
func planGen() *rapid.Generator[[]step] {
	return rapid.Custom(func(t *rapid.T) []step {
		seed := uint64(0)
		for i, bit := range rapid.SliceOfN(rapid.Bool(), 64, 64).Draw(t, "seed") {
			if bit {
				seed |= 1 << i
			}
		}
		rng := rand.New(rand.NewPCG(seed, 0))
		var plan []step
		for _, keep := range rapid.SliceOfN(rapid.Bool(), planSteps, planSteps).Draw(t, "keep") {
			s := step{Do: doings[rng.IntN(len(doings))], Lost: rng.IntN(6) == 0}
			for i := range s.N {
				s.N[i] = rng.IntN(256)
			}
			if keep {
				plan = append(plan, s)
			}
		}
		return plan
	})
}

// modelID is one of the few ids that plans use, so that they meet again.
func modelID(n int) uuid.UUID { return uuid.UUID{0: 1, 15: byte(n%modelIDs + 1)} }

// modelEnvelope makes an envelope: jobs of every third id are kept, and versions differ.
func modelEnvelope(n, priority, version int) []byte {
	e := wire.Envelope{Kind: "k", Priority: uint8(priority), Args: make([]byte, 1+version%40)}
	if n%modelIDs%3 == 0 {
		e.Retention = int64(3000 + 100_000*(n%2))
	}
	return e.Append(nil)
}

func prioOf(envelope []byte) int {
	var e wire.Envelope
	if err := e.Decode(envelope); err != nil {
		panic(err)
	}
	return int(e.Priority)
}

var priorities = []int{0, 0, 0, 4, 9}

// items makes the items of an enqueue; ids are near each other, so batches repeat some.
func (s step) items(now int64) []broker.Item {
	n := 1 + s.pick(0, 12)
	out := make([]broker.Item, n)
	for i := range out {
		at := s.N[1] + i*s.pick(2, 3)
		out[i].ID = modelID(at)
		out[i].Envelope = modelEnvelope(at, priorities[(s.N[3]+i)%len(priorities)], s.N[4]+i)
		out[i].Due = s.due(5, now, i)
	}
	return out
}

// due is when something is due: mostly now.
func (s step) due(number int, now int64, i int) broker.Due {
	if s.N[number] >= 240 {
		return broker.Due{}
	}
	switch (s.N[number] + i) % 8 {
	case 0:
		return broker.Due{In: 500}
	case 1:
		return broker.Due{In: 20_000}
	case 2:
		return broker.Due{At: now + 2500}
	case 3:
		return broker.Due{At: now - 1}
	}
	return broker.Due{}
}

var verdicts = []broker.Verdict{broker.Retry, broker.Retry, broker.Snooze, broker.Dead, broker.Dead, broker.Release, broker.Release,
	broker.Cancelled, broker.Expired}

// settle ends a claim somehow.
func (s step) settle(c broker.Claim, i int) broker.Settle {
	out := broker.Settle{Claim: c, Verdict: verdicts[(s.N[2]+i)%len(verdicts)], Delay: int64([]int{0, 300, 4000}[(s.N[3]+i)%3])}
	if (s.N[4]+i)%3 > 0 || out.Verdict == broker.Retry {
		state := wire.State{Attempts: uint16(s.N[4]), Snoozes: i}
		state.AddFailure(wire.Failure{Attempt: s.N[4] + 1, Error: "e"})
		out.State, out.Brief = state.Append(nil)
	}
	return out
}
