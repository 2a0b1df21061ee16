package worker

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/queue"
)

// measured is what was measured of a kind in the queue default.
func (p *proc) measured(kind string) Measured {
	p.e.Helper()
	for _, m := range p.w.Measured() {
		if m.Queue == queue.DefaultQueue && m.Kind == kind {
			return m
		}
	}
	return Measured{}
}

// startMeasured is start of a worker that measures.
func (e *env) startMeasured(mux *Mux, config Config, kinds int) *proc {
	e.Helper()
	p := e.start(mux, config)
	e.must(p.w.Measure(kinds))
	return p
}

// Every attempt is counted once, as what it came to.
func TestMeasuresWhatAttemptsComeTo(t *testing.T) {
	inBubble(t, func(e *env) {
		mux := NewMux()
		tries := new(tally)
		serve := func(kind string, fn func(ctx context.Context, try int) error) {
			mux.HandleKind(kind, func(ctx context.Context, job *queue.Job[queue.Raw]) error {
				return fn(ctx, tries.count(job.ID.String()))
			})
		}
		serve("ok", func(context.Context, int) error { return nil })
		serve("retry", func(_ context.Context, try int) error {
			if try < 3 {
				return errors.New("no")
			}
			return nil
		})
		serve("dead", func(context.Context, int) error { return queue.Dead(errors.New("no")) })
		serve("exhausted", func(context.Context, int) error { panic("no") })
		serve("snooze", func(_ context.Context, try int) error {
			if try < 2 {
				return queue.Snooze(time.Second)
			}
			return nil
		})
		serve("exit", func(_ context.Context, try int) error {
			if try < 1 {
				runtime.Goexit()
			}
			return nil
		})
		serve("cancel", func(ctx context.Context, _ int) error { <-ctx.Done(); return ctx.Err() })
		p := e.startMeasured(mux, Config{Concurrency: 10, Retry: steady}, 50)
		const n = 7
		for range n {
			for _, kind := range []string{"ok", "retry", "dead", "snooze", "exit"} {
				e.add(kind)
			}
			e.add("ok", queue.Retain(time.Minute))
			e.add("exhausted", queue.MaxAttempts(2))
			e.add("nobody's")
		}
		e.add("ok", queue.Priority(9), queue.Deadline(time.Now().Add(-time.Hour)))
		marked := e.add("cancel")
		e.wait(time.Second, "the one to cancel", func() bool { return p.measured("ok").Attempts["succeeded"] == 2*n && p.w.Health().Running == 1 })
		_, err := e.client.Cancel(e.ctx, queue.DefaultQueue, marked.String())
		e.must(err)
		e.wait(5*time.Minute, "all to end but those that nobody serves", func() bool { return e.counts().Scheduled == n && e.counts().Running == 0 })
		for kind, want := range map[string]string{
			"ok": "succeeded:14 died:1", "retry": "succeeded:7 retried:21", "dead": "died:7", "exhausted": "retried:7 died:7",
			"snooze": "succeeded:7 snoozed:14", "exit": "succeeded:7 retried:7", "cancel": "cancelled:1",
		} {
			m := p.measured(kind)
			if got := words(m); got != want {
				t.Errorf("%s: %s, want %s", kind, got, want)
			}
			ran := uint64(0)
			for _, count := range m.Attempts {
				ran += count
			}
			if kind == "ok" {
				ran-- // the one that was too late was not run
			}
			if m.Run.Count != ran || m.Wait.Count != ran || m.EndToEnd.Count != m.Attempts["succeeded"] {
				t.Errorf("%s: %d runs, %d waits, %d ends of %d attempts", kind, m.Run.Count, m.Wait.Count, m.EndToEnd.Count, ran)
			}
		}
		if m := p.measured(OtherKind); !strings.HasPrefix(words(m), "unknown_kind:") || m.Run.Count != 0 || m.Wait.Count != 0 {
			t.Errorf("nobody's: %s, %+v", words(m), m.Run)
		}
		if total := e.counts(); total.Succeeded != 5*n || total.Cancelled != 1 {
			t.Errorf("Redis counts %+v", total)
		}
	})
}

// An attempt whose handler ended its goroutine took as long as any other.
func TestMeasuresTheTimeOfGoexit(t *testing.T) {
	inBubble(t, func(e *env) {
		r := newRig(func(context.Context, *queue.Job[queue.Raw]) error {
			time.Sleep(3 * time.Second)
			runtime.Goexit()
			return nil
		})
		p := e.startMeasured(r.Mux, Config{}, 50)
		id := e.add("job", queue.MaxAttempts(1))
		e.drained(10 * time.Second)
		job := e.wantState(id, queue.DeadState)
		m := p.measured("job")
		if ran := job.EndedAt.Sub(job.StartedAt).Round(time.Second); ran != 3*time.Second || m.Run.Sum != 3 || m.Wait.Count != 1 || m.Wait.Sum > 1 {
			t.Errorf("it ran for %v, measured as %v s after %v s", ran, m.Run.Sum, m.Wait.Sum)
		}
	})
}

// words is what attempts came to, without the zeros, in the order of Outcomes.
func words(m Measured) string {
	var list []string
	for _, outcome := range Outcomes() {
		if n := m.Attempts[outcome]; n > 0 {
			list = append(list, fmt.Sprintf("%s:%d", outcome, n))
		}
	}
	return strings.Join(list, " ")
}

// Released and lost attempts are told from others, and what does not start in time is expired.
func TestMeasuresWhatIsTakenAway(t *testing.T) {
	inBubble(t, func(e *env) {
		r := newRig(func(ctx context.Context, _ *queue.Job[queue.Raw]) error { <-ctx.Done(); return ctx.Err() })
		p := e.startMeasured(r.Mux, Config{Concurrency: 1, Drain: time.Second}, 50)
		e.add("job")
		e.wait(time.Second, "the handler", func() bool { return r.n() == 1 })
		other := e.start(newRig(succeed).Mux, Config{Concurrency: 1})
		other.w.Quiet(true)
		e.add("job", queue.ExpireIn(2*time.Second), queue.Priority(9)) // the first that it takes once it is back
		p.gate.close()
		time.Sleep(20 * time.Second)
		p.gate.open()
		e.wait(20*time.Second, "it to be run again", func() bool { return r.n() == 2 })
		p.end()
		<-p.done
		if got := words(p.measured("job")); got != "released:1 expired:1 lost:1" {
			t.Errorf("%s", got)
		}
	})
}

// seconds is what a histogram with one value holds.
func seconds(t *testing.T, name string, h Histogram, n uint64, want float64) {
	t.Helper()
	if h.Count != n || h.Sum < want-1e-9 || h.Sum > want+0.01 {
		t.Errorf("%s: %d of %v s in all, want %d of %v s", name, h.Count, h.Sum, n, want)
	}
}

// Waiting counts from when a job was due: not while it was delayed, between its retries, or dead.
func TestMeasuresTimes(t *testing.T) {
	inBubble(t, func(e *env) {
		mux := NewMux()
		tries := new(tally)
		serve := func(kind string, fail error) {
			mux.HandleKind(kind, func(_ context.Context, job *queue.Job[queue.Raw]) error {
				time.Sleep(3 * time.Second)
				if tries.count(kind) == 0 {
					return fail
				}
				return nil
			})
		}
		serve("at-once", nil)
		serve("delayed", nil)
		serve("retried", errors.New("no"))
		serve("snoozed", queue.Snooze(time.Minute))
		serve("redriven", queue.Dead(errors.New("no")))
		e.add("at-once")
		e.add("retried")
		dead := e.add("redriven")
		e.add("snoozed")
		e.add("delayed", queue.In(10*time.Second))
		time.Sleep(5 * time.Second)
		p := e.startMeasured(mux, Config{Retry: steady}, 50)
		began := time.Now()
		e.wait(time.Minute, "the death", func() bool { return e.counts().Dead == 1 })
		time.Sleep(5 * time.Minute)
		e.must(e.client.Redrive(e.ctx, queue.DefaultQueue, dead.String()))
		e.drained(time.Minute)
		wait := 5.0
		seconds(t, "at once: wait", p.measured("at-once").Wait, 1, wait)
		seconds(t, "at once: run", p.measured("at-once").Run, 1, 3)
		seconds(t, "at once: end to end", p.measured("at-once").EndToEnd, 1, wait+3)
		seconds(t, "delayed: wait", p.measured("delayed").Wait, 1, 0)
		seconds(t, "delayed: end to end", p.measured("delayed").EndToEnd, 1, 13)
		seconds(t, "retried: wait", p.measured("retried").Wait, 2, wait)
		seconds(t, "retried: run", p.measured("retried").Run, 2, 6)
		seconds(t, "retried: end to end", p.measured("retried").EndToEnd, 1, wait+3+10+3)
		seconds(t, "snoozed: wait", p.measured("snoozed").Wait, 2, wait)
		seconds(t, "redriven: wait", p.measured("redriven").Wait, 1, wait)
		if end := p.measured("redriven").EndToEnd; end.Count != 1 || end.Sum < time.Since(began).Seconds() {
			t.Errorf("redriven: %+v", end)
		}
	})
}

// Kinds come from jobs. Those of a pattern are told apart up to the bound, those with a handler always.
func TestMeasuresBoundedKinds(t *testing.T) {
	inBubble(t, func(e *env) {
		mux := NewMux()
		for _, kind := range []string{"own", "late", "any.*"} {
			mux.HandleKind(kind, succeed)
		}
		p := e.startMeasured(mux, Config{}, 3)
		run := func(kind string) {
			e.add(kind)
			e.drained(time.Minute)
		}
		run("own")
		for i := range 30 {
			run(fmt.Sprintf("any.%d", i))
		}
		run("late")
		run("any.0")
		for i := range 5 {
			e.add(fmt.Sprintf("nobody's.%d", i))
		}
		e.wait(time.Second, "what nobody serves", func() bool { return p.measured(OtherKind).Attempts["unknown_kind"] == 5 })
		var got []string
		for _, m := range p.w.Measured() {
			got = append(got, m.Kind+" "+words(m))
		}
		want := "any.0 succeeded:2, any.1 succeeded:1, late succeeded:1, other succeeded:28 unknown_kind:5, own succeeded:1"
		if strings.Join(got, ", ") != want {
			t.Errorf("got  %s\nwant %s", strings.Join(got, ", "), want)
		}
	})
}

// What a foreign producer may call a kind is no label.
func TestMeasuresOddKindsAsOther(t *testing.T) {
	w := bench(t, Config{})
	m, c, pattern := &measures{kinds: 50}, w.consumers[0], &route{kind: "*"}
	for _, kind := range []string{"\xff\xfe", strings.Repeat("k", 129), "", "fine"} {
		m.find(c, kind, pattern).count[fateSucceeded]++
	}
	m.find(c, "nobody's", nil).count[fateSucceeded]++
	var got []string
	for _, one := range w.Measured() {
		got = append(got, fmt.Sprintf("%q %s", one.Kind, words(one)))
	}
	if want := `"" succeeded:1, "fine" succeeded:1, "other" succeeded:3`; strings.Join(got, ", ") != want {
		t.Errorf("got %s, want %s", strings.Join(got, ", "), want)
	}
}

func TestMeasureRefusesBounds(t *testing.T) {
	w := bench(t, Config{})
	for _, n := range []int{-1, 0, 10_001} {
		if err := w.Measure(n); !errors.Is(err, queue.ErrInvalid) || !strings.Contains(err.Error(), "allowed: 1 to 10000") {
			t.Errorf("%d: %v", n, err)
		}
	}
	if got := w.Measured(); got != nil {
		t.Errorf("without Measure: %v", got)
	}
}

func TestHistogram(t *testing.T) {
	var h histogram
	h.add(-1)
	for _, d := range []time.Duration{0, time.Millisecond, time.Millisecond + 1, 7 * time.Second, 4 * time.Hour, 4*time.Hour + 1, 1 << 62} {
		h.add(d)
	}
	got := h.read()
	want := map[int]uint64{0: 2, 1: 1, 12: 1, len(bounds) - 1: 1, len(bounds): 2}
	for i, n := range got.Buckets {
		if n != want[i] {
			t.Errorf("bucket %d holds %d, want %d", i, n, want[i])
		}
	}
	if got.Count != 7 || len(got.Buckets) != len(MeasureBounds())+1 {
		t.Errorf("%+v", got)
	}
}
