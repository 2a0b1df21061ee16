package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/wire"
	"github.com/tidemill/tidemill/queue"
)

// listed answers a worker's line in the listing, nil when it has none.
func (e *env) listed(instance string) *queue.WorkerInfo {
	e.Helper()
	all, err := e.client.Workers(e.ctx)
	e.must(err)
	for i := range all {
		if all[i].Instance == instance {
			return &all[i]
		}
	}
	return nil
}

func TestOrderQuiet(t *testing.T) {
	inBubble(t, func(e *env) {
		r := newRig(succeed)
		p, other := e.start(r.Mux, Config{}), e.start(newRig(succeed).Mux, Config{Queues: []Queue{{Name: "other"}}})
		e.must(e.client.QuietWorker(e.ctx, p.w.instance, true))
		e.wait(time.Second, "the worker to say that it is quiet", func() bool { return e.listed(p.w.instance).Quiet })
		e.add("job")
		time.Sleep(time.Minute)
		if n := e.counts(); n.Ready != 1 || e.listed(other.w.instance).Quiet {
			t.Fatalf("while quiet: %+v", n)
		}
		p.w.Quiet(false) // what was ordered once is not ordered again and again
		e.drained(50 * time.Millisecond)
		time.Sleep(2 * time.Minute)
		if e.listed(p.w.instance).Quiet {
			t.Error("it took the old order up again")
		}
		e.must(e.client.QuietWorker(e.ctx, "", true))
		e.wait(time.Second, "all to be quiet", func() bool { return e.listed(p.w.instance).Quiet && e.listed(other.w.instance).Quiet })
		e.must(e.client.QuietWorker(e.ctx, "", false))
		e.add("job")
		e.drained(50 * time.Millisecond)
	})
}

func TestOrderStop(t *testing.T) {
	inBubble(t, func(e *env) {
		r := newRig(func(context.Context, *queue.Job[queue.Raw]) error { time.Sleep(10 * time.Second); return nil })
		p := e.start(r.Mux, Config{})
		other := e.start(newRig(succeed).Mux, Config{Queues: []Queue{{Name: "other"}}})
		e.add("job")
		e.wait(time.Second, "the job to run", func() bool { return r.n() == 1 })
		e.must(e.client.StopWorker(e.ctx, p.w.instance))
		e.wait(time.Second, "the worker to say that it stops", func() bool { return e.listed(p.w.instance).Stopping })
		e.add("job")
		time.Sleep(5 * time.Second)
		if n := e.counts(); n.Running != 1 || n.Ready != 1 || !e.listed(p.w.instance).Alive {
			t.Errorf("while it drains: %+v", n)
		}
		<-p.done
		if n := e.counts(); p.err != nil || n.Succeeded != 1 || n.Ready != 1 {
			t.Errorf("%v, %+v", p.err, n)
		}
		if e.listed(p.w.instance) != nil || e.b.M.Exists("tm:orders") || !e.listed(other.w.instance).Alive {
			t.Error("it left something, or took another along")
		}
	})
}

// An order whose hint was lost is found within a minute; one that this version does not know is told, and nothing else.
func TestOrderWithoutHint(t *testing.T) {
	inBubble(t, func(e *env) {
		p := e.start(newRig(succeed).Mux, Config{})
		e.b.M.HSet("tm:orders", p.w.instance, "dance 1")
		e.wait(70*time.Second, "the strange order", func() bool { return len(e.logs.find("order that this worker does not know")) == 1 })
		e.b.M.HSet("tm:orders", p.w.instance, fmt.Sprint("stop ", time.Now().UnixMilli()))
		select {
		case <-p.done:
		case <-time.After(70 * time.Second):
			t.Error("it goes on")
		}
	})
}

// A worker that is gone without a word is not alive once its session lapsed, and the others drop its line and its order.
func TestSilentWorkersAreDropped(t *testing.T) {
	inBubble(t, func(e *env) {
		p, other := e.start(newRig(succeed).Mux, Config{}), e.start(newRig(succeed).Mux, Config{})
		e.must(e.client.QuietWorker(e.ctx, p.w.instance, true))
		e.wait(time.Second, "it to obey", func() bool { return e.listed(p.w.instance).Quiet })
		e.b.M.HSet("tm:orders", "long gone", "stop 1")
		p.gate.close()
		e.wait(DefaultSessionTTL+3*time.Second, "it to be not alive", func() bool { return !e.listed(p.w.instance).Alive })
		if seen := e.listed(p.w.instance).LastSeen; time.Since(seen) > 15*time.Second {
			t.Errorf("last seen at %v", seen)
		}
		e.wait(2*silentFor+2*announceEvery, "its line to be dropped", func() bool { return e.listed(p.w.instance) == nil })
		if e.b.M.Exists("tm:orders") || e.listed(other.w.instance) == nil {
			t.Error("an order is left, or the other's line is gone")
		}
		p.gate.open() // it was cut off for ten minutes: it comes back, under a new session
		e.wait(2*announceEvery, "it to be back", func() bool { one := e.listed(p.w.instance); return one != nil && one.Alive })
		if one := e.listed(p.w.instance); !slices.Equal(one.Queues, []string{queue.DefaultQueue}) || !one.Quiet {
			t.Errorf("%+v", one)
		}
	})
}

// TestListedOnceAlive: a worker that Redis knows no session of yet is not listed, as an order to all would pass it by.
func TestListedOnceAlive(t *testing.T) {
	inBubble(t, func(e *env) {
		release := e.b.HoldRequest(script("heartbeat"))
		p := e.launch(newRig(succeed).Mux, Config{})
		time.Sleep(time.Second)
		if one := e.listed(p.w.instance); one != nil {
			t.Errorf("before its first heartbeat is answered: %+v", one)
		}
		release()
		e.wait(time.Second, "it to be listed", func() bool { return e.listed(p.w.instance) != nil })
		if one := e.listed(p.w.instance); !one.Alive {
			t.Errorf("listed as %+v", one)
		}
	})
}

// TestListedWhileStopped: a worker whose only queue Redis refuses from the start is listed too, and its line is not written more often.
func TestListedWhileStopped(t *testing.T) {
	inBubble(t, func(e *env) {
		e.must(e.b.M.Set(e.q.Key(keys.Dead), "not ours"))
		p := e.start(newRig(succeed).Mux, Config{})
		seen := func() time.Time {
			all, err := p.w.broker.Workers(e.ctx)
			e.must(err)
			var line wire.Announcement
			e.must(json.Unmarshal([]byte(all[p.w.instance]), &line))
			return line.Seen
		}
		time.Sleep(5 * time.Second)
		first := seen()
		if time.Sleep(20 * time.Second); !seen().Equal(first) {
			t.Errorf("written at %v, and again at %v", first, seen())
		}
	})
}

// TestOrderLeavesTheLine: looking for orders must not put the line in the listing off, however often it happens.
func TestOrderLeavesTheLine(t *testing.T) {
	inBubble(t, func(e *env) {
		p := e.start(newRig(succeed).Mux, Config{})
		for range 20 {
			p.w.announcer.ordered.Set()
			time.Sleep(announceEvery / 2)
			all, err := p.w.broker.Workers(e.ctx)
			e.must(err)
			var line wire.Announcement
			e.must(json.Unmarshal([]byte(all[p.w.instance]), &line))
			if age := time.Since(line.Seen); age > 2*announceEvery {
				t.Fatalf("its line is %v old", age)
			}
		}
	})
}
