package worker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/wire"
	"github.com/tidemill/tidemill/queue"
)

// hints notes the hints that workers publish.
type hints struct {
	mu   sync.Mutex
	sent []string // channel and payload
}

func (h *hints) watch(e *env) {
	e.b.DropReplies(func(cmd string, args []string) bool {
		if cmd == "PUBLISH" && strings.Contains(args[0], ":ended:") {
			h.mu.Lock()
			h.sent = append(h.sent, args[0]+" "+args[1])
			h.mu.Unlock()
		}
		return false
	})
}

func (h *hints) list() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.sent)
}

// Only what has ended is told, once Redis has confirmed it; a retry is no end, and neither is a release.
func TestTellsWhatEnded(t *testing.T) {
	inBubble(t, func(e *env) {
		var h hints
		h.watch(e)
		var r *rig
		r = newRig(func(context.Context, *queue.Job[queue.Raw]) error {
			if r.n() < 3 {
				return fmt.Errorf("no luck")
			}
			return nil
		})
		e.start(r.Mux, Config{Retry: steady})
		e.add("job")
		e.drained(5 * time.Minute)
		if sent := h.list(); len(sent) != 0 {
			t.Fatalf("nobody asked, and told is %q", sent)
		}
		id := e.add("job", queue.Notify())
		e.wait(time.Second, "the hint", func() bool { return len(h.list()) > 0 })
		if sent := h.list(); len(sent) != 1 || !strings.HasSuffix(sent[0], " default "+id.String()) {
			t.Errorf("told: %q", sent)
		}
		e.wantState(id, "")
	})
}

// What ends while the worker drains is told before it is gone.
func TestTellsBeforeItLeaves(t *testing.T) {
	inBubble(t, func(e *env) {
		var h hints
		h.watch(e)
		r := newRig(func(context.Context, *queue.Job[queue.Raw]) error { time.Sleep(10 * time.Second); return nil })
		p := e.start(r.Mux, Config{Drain: time.Minute})
		e.add("job", queue.Notify())
		e.wait(time.Second, "the job to run", func() bool { return r.n() == 1 })
		p.stopClean()
		if len(h.list()) != 1 {
			t.Errorf("told: %q", h.list())
		}
	})
}

// A name that is too long for a channel is not obeyed; the job runs all the same.
func TestTellsNobodyUnreasonable(t *testing.T) {
	inBubble(t, func(e *env) {
		var h hints
		h.watch(e)
		r := newRig(succeed)
		e.start(r.Mux, Config{})
		for _, n := range []int{maxNotify, maxNotify + 1} {
			envelope := wire.Envelope{Kind: "job", Notify: strings.Repeat("x", n)}
			item := broker.Item{ID: uuid.New(), Envelope: envelope.Append(nil)}
			_, err := e.client.Engine().Broker.Enqueue(e.ctx, e.q, broker.Stamp{Producer: uuid.New(), Seq: 1}, []broker.Item{item})
			e.must(err)
		}
		e.drained(time.Minute)
		e.wait(time.Second, "the hint", func() bool { return len(h.list()) > 0 })
		time.Sleep(time.Second)
		if sent := h.list(); len(sent) != 1 || !strings.HasPrefix(sent[0], "tm:ended:"+strings.Repeat("x", maxNotify)+" ") {
			t.Errorf("told: %q", sent)
		}
	})
}

func TestHintsAreGathered(t *testing.T) {
	inBubble(t, func(e *env) {
		p := e.start(newRig(succeed).Mux, Config{})
		teller := newTeller(p.w)
		var untold []ending
		for i := range 1000 {
			untold = append(untold, ending{token: fmt.Sprint(i % 2), queue: "q", id: uuid.New()})
		}
		seen := make(map[string]int)
		messages := teller.compose(untold)
		for _, m := range messages {
			if len(m.Payload) > hintBytes+200 {
				t.Errorf("a message of %d bytes", len(m.Payload))
			}
			for line := range strings.SplitSeq(m.Payload, "\n") {
				seen[m.Channel+" "+line]++
			}
		}
		if len(messages) > 8 {
			t.Errorf("%d messages for 2 who wait", len(messages))
		}
		for _, e := range untold {
			if seen["tm:ended:"+e.token+" q "+e.id.String()] != 1 {
				t.Fatalf("%v is told %d times", e, seen["tm:ended:"+e.token+" q "+e.id.String()])
			}
		}
	})
}

// What ends while hints are on their way is told too, also when the worker ends by then.
func TestTellsTheLast(t *testing.T) {
	inBubble(t, func(e *env) {
		var h hints
		h.watch(e)
		var n atomic.Int32
		r := newRig(func(context.Context, *queue.Job[queue.Raw]) error {
			time.Sleep(time.Second + time.Duration(n.Add(1)-1)*50*time.Millisecond)
			return nil
		})
		e.b.Delay(func(cmd string, _ []string) time.Duration {
			if cmd == "PUBLISH" {
				return 200 * time.Millisecond
			}
			return 0
		})
		p := e.start(r.Mux, Config{Drain: time.Minute})
		e.add("job", queue.Notify())
		e.add("job", queue.Notify())
		e.wait(time.Second, "the jobs to run", func() bool { return r.n() == 2 })
		p.stopClean()
		time.Sleep(time.Second)
		if got := h.list(); strings.Count(strings.Join(got, "\n"), " default ") != 2 {
			t.Errorf("told: %q", got)
		}
	})
}
