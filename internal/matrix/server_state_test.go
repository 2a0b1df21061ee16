package matrix

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// Scripts that are forgotten all the time, under workers, producers and the timer: nobody notices.
func TestScriptsForgotten(t *testing.T) {
	r := onServer(t)
	var l ledger
	stop, flushed := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for tick := time.NewTicker(time.Millisecond); ; n++ {
			select {
			case <-stop:
				tick.Stop()
				flushed <- n
				return
			case <-tick.C:
				r.rdb.ScriptFlush(r.ctx)
			}
		}
	}()
	r.start(r.open(r.url), l.sleeper(), worker.Config{Queues: []worker.Queue{{Name: "default"}, {Name: "other"}}})
	r.addAll(2000, nap{})
	r.addAll(2000, nap{}, queue.Queue("other"))
	r.addAll(100, nap{}, queue.In(300*time.Millisecond))
	r.wait("all jobs", func() bool { return l.jobs() == 4100 })
	r.drained()
	close(stop)
	if n := <-flushed; n < 100 {
		t.Errorf("only %d flushes", n)
	}
	if _, repeated := l.read(); repeated != 0 {
		t.Errorf("%d jobs started twice", repeated)
	}
	r.silent("failed", "refuse", "does not answer")
}

// A full server takes no more jobs, but lets workers in, keeps their sessions and drains, retries included; then it takes
// jobs again.
func TestRedisFull(t *testing.T) {
	r := onServer(t, redistest.WithConfig("maxmemory 8mb", "maxmemory-policy noeviction"))
	payload := queue.Raw{Name: "flaky", Payload: []byte(`"` + strings.Repeat("x", 2000) + `"`)}
	var err error
	for n := 0; err == nil; n++ {
		if _, err = r.client.Enqueue(r.ctx, payload); n > 10_000 {
			t.Fatal("it never gets full")
		}
	}
	if !errors.Is(err, queue.ErrRedisFull) || errors.Is(err, queue.ErrOutcomeUnknown) {
		t.Fatal(err)
	}
	for r.rdb.Append(r.ctx, "filler", strings.Repeat("x", 1000)).Err() == nil { // to the brim, so that nothing can grow
		continue
	}
	jobs := r.counts().Ready
	c := startChild(t, spec{URL: r.url, Concurrency: 20, TTL: 2 * time.Second})
	if _, err := r.client.EnqueueMany(r.ctx, queue.Items(make([]nap, 100))); err != nil && !errors.Is(err, queue.ErrRedisFull) {
		t.Errorf("a batch meanwhile: %v", err)
	}
	r.drained()
	n := r.counts()
	t.Logf("%d jobs drained from a full server", jobs)
	if n.Failed != jobs || n.Succeeded < jobs || n.Succeeded > jobs+100 || n.Dead != 0 || n.Recovered != 0 || jobs < 500 {
		t.Errorf("%d jobs were ready: %+v", jobs, n)
	}
	if bad := append(c.logged(`"level":"error"`), c.logged("session lost")...); len(bad) > 0 {
		t.Errorf("logged %.500v", bad)
	}
	r.add(payload)
	r.wait("jobs to run again", func() bool { return r.counts().Succeeded == n.Succeeded+1 })
}

// A server that may delete jobs when memory runs out is refused by a worker process at its start, with the line that
// mends it. Where the server hides its policy the worker warns and runs.
func TestEvictionPolicy(t *testing.T) {
	r := onServer(t, redistest.WithConfig("maxmemory 100mb", "user blind on >pw ~* &* +@all -info -config"))
	for _, policy := range []string{"allkeys-lru", "volatile-ttl", "allkeys-random"} {
		r.must(r.rdb.ConfigSet(r.ctx, "maxmemory-policy", policy).Err())
		c := launchChild(t, spec{URL: r.url, Concurrency: 1})
		status, _ := c.ended(patience)
		said := strings.Join(c.Lines("failed"), " ")
		if status != 1 || len(c.Lines("up")) > 0 || !strings.Contains(said, policy) || !strings.Contains(said, "CONFIG SET maxmemory-policy noeviction") {
			t.Errorf("%s: status %d, %q", policy, status, said)
		}
	}
	blind := startChild(t, spec{URL: strings.Replace(r.url, "redis://", "redis://blind:pw@", 1), Concurrency: 1})
	if lines := blind.logged("hides its eviction policy"); len(lines) != 1 || !strings.Contains(lines[0], `"level":"warn"`) {
		t.Errorf("a hidden policy: %v", lines)
	}
	r.wait("it to run", func() bool { return r.sessions("default") == 1 })
}

// What is no envelope goes to dead by itself, with the reason; the jobs around it run.
func TestCorruptEnvelope(t *testing.T) {
	r := onServer(t)
	junk := map[string]string{
		"binary": "\x01\x00\x00\x00\x05\xff\xff\xff\xff\xff\xff", "version 0": "\x00\x00\x00\x00\x05abc", "flags": "\x01\xff\x00\x00\x05\x0a\x01k",
		"no kind": "\x01\x00\x00\x00\x05", "short": "\x01\x00\x00", "text": "\x01 a string", "long": "\x01" + strings.Repeat("\xff", 100_000),
	}
	bad := make(map[string]string)
	for name, text := range junk {
		r.addAll(5, nap{})
		bad[name] = r.add(nap{})
		id := uuid.MustParse(bad[name])
		r.must(r.rdb.HSet(r.ctx, "tm:{default}:jobs", string(id[:]), text).Err())
	}
	r.addAll(5, nap{})
	var l ledger
	p := r.start(r.open(r.url), l.sleeper(), worker.Config{Concurrency: 3})
	r.drained()
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	for name, id := range bad {
		if s := r.get(id); s.State != queue.DeadState || !strings.Contains(s.Reason, "corrupt envelope") || s.Corrupt == nil {
			t.Errorf("%s: %s, %q", name, s.State, s.Reason)
		}
	}
	others := 5 * (len(junk) + 1)
	if n := r.counts(); l.jobs() != others || n.Dead != int64(len(junk)) || n.Succeeded != int64(others) {
		t.Errorf("%d of %d others ran, %+v", l.jobs(), others, n)
	}
}

// A key of the wrong type stops its queue alone, with an error that names the key, and it goes on once that is mended.
func TestWrongKeyType(t *testing.T) {
	r := onServer(t)
	var l ledger
	p := r.start(r.open(r.url), l.sleeper(), worker.Config{SessionTTL: 2 * time.Second, Queues: []worker.Queue{{Name: "default"}, {Name: "other"}}})
	for _, part := range []string{"ready:0", "jobs", "state", "scheduled", "dead", "wake", "due", "producers", "sessions", "meta"} {
		key, aside := "tm:{default}:"+part, "tm:{default}:aside"
		before := len(r.logs.find("queue mended"))
		had := r.rdb.Rename(r.ctx, key, aside).Err() == nil
		r.must(r.rdb.Set(r.ctx, key, "not ours", 0).Err())
		r.wait("the queue to stop over "+part, func() bool { return len(r.logs.find("queue stopped")) == before+1 })
		if line := r.logs.find("queue stopped")[before]; !strings.Contains(line, key) || !strings.Contains(line, `"queue":"default"`) {
			t.Errorf("%s: logged %s", part, line)
		}
		if h := p.Health(); h.Ready || !strings.Contains(strings.Join(h.Reasons, " "), key) {
			t.Errorf("%s: ready %v: %v", part, h.Ready, h.Reasons)
		}
		waiting := 0 // what it does not touch does not keep a job from being enqueued
		switch _, err := r.client.Enqueue(r.ctx, nap{}); {
		case slices.Contains([]string{"state", "scheduled", "dead", "due", "sessions"}, part):
			r.must(err)
			waiting = 1
		case err == nil || !strings.Contains(err.Error(), key):
			t.Errorf("%s: enqueue: %v", part, err)
		}
		started := l.jobs()
		r.add(nap{}, queue.Queue("other"))
		r.add(nap{}, queue.Queue("other"), queue.In(100*time.Millisecond))
		r.wait("the other queue's jobs", func() bool { return l.jobs() == started+2 })
		r.must(r.rdb.Del(r.ctx, key).Err())
		if had {
			r.must(r.rdb.Rename(r.ctx, aside, key).Err())
		}
		r.wait("it to go on after "+part, func() bool { return len(r.logs.find("queue mended")) == before+1 })
		r.add(nap{})
		r.wait("its jobs", func() bool { return l.jobs() == started+3+waiting })
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	if found := r.logs.find("queue stopped"); len(found) != 10 {
		t.Errorf("logged %d times", len(found))
	}
}

// A job of a kind that no worker of this version serves costs no attempt and waits for one that does, told once a kind.
// (Its snoozes, and its end after a day, are in worker.TestUnknownKindWaits.)
func TestUnknownKind(t *testing.T) {
	r := onServer(t)
	id := r.add(kind("from-tomorrow"))
	r.add(kind("from-tomorrow"))
	var l ledger
	old := r.start(r.open(r.url), l.sleeper(), worker.Config{})
	r.wait("a snooze", func() bool { return r.counts().Scheduled == 2 })
	if s := r.get(id); s.Attempts != 0 || s.UnknownSince.IsZero() || time.Until(s.DueAt) > 31*time.Second || time.Until(s.DueAt) < 20*time.Second {
		t.Errorf("attempts %d, unknown since %v, due at %v", s.Attempts, s.UnknownSince, s.DueAt)
	}
	if lines := r.logs.find("no handler for this kind"); len(lines) != 1 || !strings.Contains(lines[0], "from-tomorrow") {
		t.Errorf("logged %v", lines)
	}
	r.must(old.stop())
	known := make(chan queue.Info, 1)
	mux := worker.NewMux()
	mux.HandleKind("from-tomorrow", func(_ context.Context, job *queue.Job[queue.Raw]) error {
		known <- job.Info
		return nil
	})
	r.start(r.open(r.url), mux, worker.Config{})
	r.must(r.client.RunNow(r.ctx, "default", id))
	if info := <-known; fmt.Sprint(info.ID) != id || info.Attempt != 1 {
		t.Errorf("%s ran as attempt %d", info.ID, info.Attempt)
	}
}

// A counter that is no number (a foreign hand) stops nothing half way: it begins anew, and jobs are stored, cancelled,
// claimed and acknowledged as ever.
func TestCounterThatIsNoNumber(t *testing.T) {
	r := onServer(t)
	for _, name := range []string{"enqueued", "succeeded", "failed", "died", "cancelled", "ghosts", "suspect_ghosts"} {
		r.must(r.rdb.HSet(r.ctx, "tm:{default}:meta", name, "ours?").Err())
	}
	if n := r.counts(); n.Ready != 0 {
		t.Errorf("before: %+v", n)
	}
	r.add(nap{})
	if _, err := r.client.Cancel(r.ctx, queue.DefaultQueue, r.add(nap{})); err != nil {
		t.Error(err)
	}
	mux := worker.NewMux()
	worker.Handle(mux, func(context.Context, *queue.Job[nap]) error { return nil })
	mux.HandleKind("dies", func(context.Context, *queue.Job[queue.Raw]) error { return queue.Dead(errors.New("on purpose")) })
	r.add(kind("dies"))
	p := r.start(r.open(r.url), mux, worker.Config{})
	r.wait("all to end", func() bool { n := r.counts(); return n.Succeeded == 1 && n.Dead == 1 })
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	if n := r.counts(); n.Enqueued != 3 || n.Cancelled != 1 || n.Failed != 1 || n.Ready != 0 || n.Running != 0 {
		t.Errorf("after: %+v", n)
	}
	r.silent("queue stopped")
}
