//go:build unix

package chaos

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tidemill/tidemill/queue"
)

const (
	// drainWithin bounds the time from the last fault to quiet, and stopWithin the last shutdown. Both are generous.
	drainWithin = 4 * time.Minute
	stopWithin  = 2 * time.Minute
	// tellEvery is how often the run says where it is.
	tellEvery = 10 * time.Second
)

// Run carries out a plan and answers what came of it. Violations are the caller's to judge; what keeps the harness
// itself from working fails the test.
func Run(t testing.TB, o Options) *Report {
	t.Helper()
	a := newArena(t, o)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	a.start = time.Now()
	for _, slots := range a.slots {
		for _, s := range slots {
			if err := s.start(); err != nil {
				t.Fatal(err)
			}
		}
	}
	op, err := newOperator(a)
	if err != nil {
		t.Fatal(err)
	}
	meddle, leave := context.WithCancel(ctx)
	operating, retire := context.WithCancel(ctx)
	var all, ops sync.WaitGroup
	t.Cleanup(func() { cancel(); all.Wait(); ops.Wait() })
	ops.Go(func() {
		if err := op.run(operating, meddle); err != nil {
			a.fail(err)
		}
	})
	if a.sentinel != nil {
		ops.Go(func() { a.switches(operating) })
	}
	all.Go(func() {
		a.strikes(ctx, NewPlan(o, 0))
		a.goOn(ctx)
	})
	a.await(ctx, &all)
	leave()
	e := &Ending{}
	a.heal()
	e.Stuck = a.quiet(ctx)
	retire()
	ops.Wait()
	a.dismiss(e)
	a.must()
	took := time.Since(a.start)
	if err := e.look(ctx, a.client, a.rdb()); err != nil {
		t.Fatal(err)
	}
	if err := e.clear(ctx, a.client, a.rdb()); err != nil {
		t.Fatal(err)
	}
	h := NewHistory(o.TTL)
	h.Strikes, h.Lossy = a.report, a.sentinel != nil
	if err := h.ReadLedgers(a.dir); err != nil {
		t.Fatal(err)
	}
	return newReport(o, h, e, took)
}

// await returns when the faults are over and the producers done, and says meanwhile where the run is.
func (a *arena) await(ctx context.Context, faults *sync.WaitGroup) {
	a.Helper()
	over := make(chan struct{})
	go func() { faults.Wait(); close(over) }()
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	for waiting := true; waiting; {
		select {
		case <-over:
			waiting = false
		case <-tick.C:
			a.tell(ctx)
		}
	}
}

// goOn strikes in further rounds for as long as the producers are not done.
func (a *arena) goOn(ctx context.Context) {
	ctx, stop := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		for !a.produced() && ctx.Err() == nil {
			pause(ctx, 20*time.Millisecond)
		}
		stop()
	})
	for round := 1; ctx.Err() == nil; round++ {
		a.strikes(ctx, NewPlan(a.o, round))
	}
	watching.Wait()
}

// produced tells whether every producer has done its work, or is gone by itself.
func (a *arena) produced() bool {
	for _, s := range a.slots[roleProducer] {
		if !s.finished() && !s.fell() {
			return false
		}
	}
	return true
}

// tell says where the run is.
func (a *arena) tell(ctx context.Context) {
	a.Helper()
	a.mu.Lock()
	strikes := len(a.report)
	a.mu.Unlock()
	so := fmt.Sprintf("%v: %d faults", time.Since(a.start).Round(time.Second), strikes)
	var sum queue.Counts
	for _, name := range queues {
		n, err := a.client.Counts(ctx, name)
		if err != nil {
			a.Logf("%s; redis is away", so)
			return
		}
		sum.Enqueued, sum.Succeeded, sum.Ready = sum.Enqueued+n.Enqueued, sum.Succeeded+n.Succeeded, sum.Ready+n.Ready
		sum.Running, sum.Recovered, sum.Suspect = sum.Running+n.Running, sum.Recovered+n.Recovered, sum.Suspect+n.Suspect
	}
	a.Logf("%s; %d enqueued, %d succeeded, %d ready (%d suspects), %d running, %d recovered", so, sum.Enqueued, sum.Succeeded,
		sum.Ready, sum.Suspect, sum.Running, sum.Recovered)
}

// heal ends what is still wrong with the connections.
func (a *arena) heal() {
	for _, links := range a.links {
		for _, l := range links {
			l.DropReply(nil)
			l.DelayReply(nil, 0)
			l.Refuse(false)
		}
	}
}

// quiet waits until nothing is ready or running, and scheduled is only what is parked. It answers what was left when
// it gave up.
func (a *arena) quiet(ctx context.Context) string {
	deadline := time.Now().Add(drainWithin)
	soon := time.Now().Add(time.Hour)
	for left := "Redis does not answer"; ; pause(ctx, 20*time.Millisecond) {
		busy := false
		for _, name := range queues {
			n, err := a.client.Counts(ctx, name)
			if err != nil {
				busy = true
				continue
			}
			due := 0
			for s, err := range a.client.List(ctx, name, queue.ListOptions{State: queue.Scheduled, Until: soon, Limit: 1}) {
				if busy = busy || err != nil; s != nil {
					due++
				}
			}
			crashed := 0
			for s := range a.client.List(ctx, name, queue.ListOptions{State: queue.DeadState, Error: "crashed its worker", Limit: 1}) {
				if s != nil {
					crashed++
				}
			}
			if n.Ready+n.Running > 0 || due+crashed > 0 {
				busy = true
				left = fmt.Sprintf("queue %s: %d ready, %d running, %d due, %d crashed", name, n.Ready, n.Running, due, crashed)
			}
		}
		if !busy {
			return ""
		}
		if time.Now().After(deadline) || a.deserted() {
			return left
		}
	}
}

// deserted tells whether no worker is left, so that waiting is in vain.
func (a *arena) deserted() bool {
	for _, s := range a.slots[roleWorker] {
		if !s.fell() {
			return false
		}
	}
	return true
}

// dismiss ends every process in good order, and notes those that did not.
func (a *arena) dismiss(e *Ending) {
	for _, role := range []string{roleProducer, roleWorker} {
		for _, s := range a.slots[role] {
			l := s.aim(false)
			stubborn := s.retire(syscall.SIGTERM, stopWithin)
			if l != nil && (stubborn || !l.cmd.ProcessState.Success()) {
				e.Fallen = append(e.Fallen, fmt.Sprintf("%s was told to stop when all was quiet: %v %s", l.name, l.cmd.ProcessState, head(l.said.String())))
			}
			s.mu.Lock()
			e.Fallen = append(e.Fallen, s.fallen...)
			s.mu.Unlock()
		}
	}
}
