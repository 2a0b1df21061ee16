package broker_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/keys"
)

// TestModel draws plans, runs them on the real scripts in fake time, and judges every step by a model in plain Go.
// rapid tries 100 plans unless told: go test ./internal/broker/ -run TestModel -rapid.checks=10000
func TestModel(t *testing.T) {
	plans := planGen()
	rapid.Check(t, func(rt *rapid.T) {
		plan := plans.Draw(rt, "plan")
		var bad string
		synctest.Test(t, func(t *testing.T) {
			r := newRunner(t)
			defer func() {
				if p := recover(); p != nil {
					bad = fmt.Sprintf("panic: %v", p)
				}
			}()
			bad = r.run(plan)
		})
		if bad != "" { // raised outside of the bubble, where rapid can shrink it
			rt.Fatalf("%s", bad)
		}
	})
}

// idle tells whether nothing waits or runs any more, and no session is left but the workers' own.
func (r *runner) idle() bool {
	waits := len(r.w.in(ready)) + len(r.w.in(scheduled)) + len(r.w.in(running)) + len(r.w.tombs)
	for session := range r.w.sessions {
		if !slices.ContainsFunc(r.workers[:], func(k *sender) bool { return k.session == session }) {
			waits++
		}
	}
	ghosts, _ := r.w.stale()
	return waits+ghosts == 0
}

// drain brings whatever the plan left to an end, and holds what remains against a constant.
func (r *runner) drain() {
	r.verb(step{Do: "resume"})
	for round := 0; round < 30 && !r.idle(); round++ {
		time.Sleep(3 * time.Second)
		r.step(step{Do: "beats"})
		for _, session := range r.expired {
			r.recoverOne(step{}, session)
		}
		r.step(step{Do: "promote"})
		for i := range r.workers {
			k := r.workers[i]
			r.step(step{Do: "exchange", N: [6]int{i, 255, 5, 0, 4, 1}})
			// What a session runs and its worker does not know of is given back, as reconciling does.
			for _, j := range r.w.runs(k.session) {
				if !slices.ContainsFunc(k.held, func(c broker.Claim) bool { return c.ID == j.id }) {
					k.held = append(k.held, broker.Claim{ID: j.id, Token: j.score})
				}
			}
		}
		if r.judge(); r.bad != "" {
			return
		}
	}
	r.verb(step{Do: "purge", N: [6]int{2}})
	r.verb(step{Do: "purge", N: [6]int{3}})
	for i := range r.workers {
		r.beat(step{Do: "bye"}, i)
	}
	time.Sleep(11 * time.Minute)
	r.verb(step{Do: "sweep"})
	if r.judge(); r.bad != "" {
		return
	}
	for _, key := range r.bubble.M.Keys() {
		if key != r.q.Key(keys.Meta) && key != r.q.Key(keys.Due) && key != r.q.Key(keys.Wake) {
			r.fail("%s is left once all is drained; %d jobs, sessions %v", key, len(r.w.jobs), r.w.sessions)
		}
	}
}
