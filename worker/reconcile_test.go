package worker

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/queue"
)

// Only what an answered heartbeat counted is compared, and only once every call that was under way then was answered.
func TestMarkAndPage(t *testing.T) {
	var r reconciliation
	if _, to := r.page(); to != 0 {
		t.Errorf("before any heartbeat: %d", to)
	}
	r.sent(0, 1, time.Time{})
	r.mark(100)
	if _, to := r.page(); to != 0 {
		t.Errorf("call 1 may have claimed up to 100, and is not answered: %d", to)
	}
	r.mark(200) // the older mark still waits
	r.answered(0)
	if _, to := r.page(); to != 100 {
		t.Errorf("call 1 is answered: %d", to)
	}
	r.sent(0, 2, time.Time{})
	if _, to := r.page(); to != 100 {
		t.Errorf("call 2 came later: %d", to)
	}
	r.mark(300)
	if _, to := r.page(); to != 0 {
		t.Errorf("call 2 is not answered: %d", to)
	}
	r.sent(1, 7, time.Time{})
	r.answered(0)
	if _, to := r.page(); to != 300 {
		t.Errorf("call 2 is answered, the other lane's was sent later: %d", to)
	}
}

// hand is a consumer that holds claims with the tokens given, all started.
func hand(t *testing.T, tokens ...int64) (*Worker, *consumer, []*run) {
	t.Helper()
	w := bench(t, Config{})
	c := w.consumers[0]
	b := &batch{runs: make([]run, len(tokens)), open: len(tokens)}
	var runs []*run
	for i, token := range tokens {
		b.runs[i] = run{c: c, batch: b, phase: started, claim: broker.Claim{ID: uuid.New(), Token: token}, ctx: &jobContext{w: w}}
		runs = append(runs, &b.runs[i])
	}
	w.holdLocked(c, b)
	return w, c, runs
}

func lost(r *run) bool {
	_, cause := r.ctx.over()
	return errors.Is(cause, queue.ErrJobLost)
}

func TestReconcileFindsLostClaims(t *testing.T) {
	w, c, runs := hand(t, 10, 20, 30, 40)
	runs[1].phase = settling // its ack may just have been carried out
	w.reconcileLocked(c, &broker.Beat{To: 35}, &broker.Pulse{Running: 1, Page: []broker.Claim{runs[0].claim}})
	for i, want := range []bool{false, false, true, false} {
		if lost(runs[i]) != want {
			t.Errorf("claim %d: lost is %v", i, !want)
		}
	}
	if len(c.fails) != 0 || w.zombies[claimKey{c, runs[2].claim.ID}] != runs[2] {
		t.Errorf("%d to settle, zombies %v", len(c.fails), w.zombies)
	}
	// The id alone proves nothing: the session may hold a newer claim of it.
	newer := runs[0].claim
	newer.Token = 11
	w.reconcileLocked(c, &broker.Beat{To: 35}, &broker.Pulse{Running: 1, Page: []broker.Claim{newer}})
	if !lost(runs[0]) {
		t.Error("a claim with another token was taken for ours")
	}
	w.reconcileLocked(c, &broker.Beat{}, &broker.Pulse{})
	if lost(runs[3]) {
		t.Error("lost by a heartbeat that compared nothing")
	}
}

func TestReconcileReleasesStraysSeenTwice(t *testing.T) {
	w, c, _ := hand(t)
	stray := broker.Claim{ID: uuid.New(), Token: 5}
	pulse := &broker.Pulse{Running: 1, Page: []broker.Claim{stray}}
	w.reconcileLocked(c, &broker.Beat{To: 50}, pulse)
	if len(c.fails) != 0 || !c.calls.hurry {
		t.Fatalf("once: %v, hurry %v", c.fails, c.calls.hurry)
	}
	other := *pulse
	other.Page = []broker.Claim{{ID: stray.ID, Token: 6}}
	w.reconcileLocked(c, &broker.Beat{To: 50}, &other)
	if len(c.fails) != 0 {
		t.Fatal("another claim of the same id is not the same claim")
	}
	w.reconcileLocked(c, &broker.Beat{To: 50}, &other)
	if len(c.fails) != 1 || c.fails[0].Token != 6 || c.fails[0].Verdict != broker.Release || c.fails[0].run != nil {
		t.Errorf("twice: %+v", c.fails)
	}
}

// A full page covers what it reaches to; the rest is compared by the next.
func TestReconcileGoesPageByPage(t *testing.T) {
	tokens := make([]int64, pageSize+10)
	for i := range tokens {
		tokens[i] = int64(i + 1)
	}
	w, c, runs := hand(t, tokens...)
	var page []broker.Claim
	for _, r := range runs[1 : pageSize+1] { // the first is missing in Redis
		page = append(page, r.claim)
	}
	w.reconcileLocked(c, &broker.Beat{To: 1000}, &broker.Pulse{Running: len(tokens) - 1, Page: page})
	if c.calls.from != int64(pageSize+1) || !c.calls.hurry {
		t.Errorf("the next page begins at %d, hurry %v", c.calls.from, c.calls.hurry)
	}
	rest := []broker.Claim{}
	for _, r := range runs[pageSize+1 : len(runs)-1] { // and the last
		rest = append(rest, r.claim)
	}
	w.reconcileLocked(c, &broker.Beat{From: c.calls.from, To: 1000}, &broker.Pulse{Running: len(tokens) - 2, Page: rest})
	if c.calls.from != 0 {
		t.Errorf("after the last page: from %d", c.calls.from)
	}
	for i, r := range runs {
		if want := i == 0 || i == len(runs)-1; lost(r) != want {
			t.Errorf("claim %d: lost is %v", i, !want)
		}
	}
}

// A handler whose claim is gone is stuck once, though it is among the session's runs and among the zombies.
func TestStuckIsCountedOnce(t *testing.T) {
	w, c, runs := hand(t, 1, 2)
	w.config.StuckAfter = 0
	w.gone(c, runs[0].claim, runs[0])
	for _, want := range [2]string{"when it is told", "later"} {
		if w.stuckLocked(); w.stuck != 1 || !runs[0].told || runs[1].told {
			t.Errorf("%s: %d are stuck", want, w.stuck)
		}
	}
	w.renewLocked(c, queue.ErrSessionLost)
	if w.stuckLocked(); w.stuck != 2 {
		t.Errorf("once the session is lost: %d are stuck", w.stuck)
	}
}

// A session that is lost takes everything of its own with it, and nothing of the next.
func TestRenew(t *testing.T) {
	w, c, runs := hand(t, 1, 2, 3)
	runs[1].phase, c.done = settling, []*run{runs[1]}
	runs[2].phase, runs[2].ctx = buffered, nil
	w.buffer, c.buffered = []*run{runs[2]}, 1
	c.fails = []failure{{run: runs[0]}}
	old, epoch := c.session, c.epoch
	w.renewLocked(c, queue.ErrSessionLost)
	if c.session == old || c.epoch != epoch+1 || c.active || len(c.done)+len(c.fails)+len(w.buffer)+c.buffered+len(c.held) != 0 {
		t.Errorf("%+v", c)
	}
	if _, cause := runs[0].ctx.over(); !errors.Is(cause, queue.ErrSessionLost) || !runs[0].lost {
		t.Errorf("the handler's cause: %v", cause)
	}
	w.running = 1
	c.enter(runs[0])
	w.finishLocked(runs[0], &outcome{})
	if len(c.done) != 0 || len(w.zombies) != 0 || w.running != 0 {
		t.Errorf("its return: %d acks, %d zombies", len(c.done), len(w.zombies))
	}
}

func TestJobContext(t *testing.T) {
	type key struct{}
	w := bench(t, Config{})
	w.base = context.WithValue(context.Background(), key{}, "base")
	info := &queue.Info{ID: uuid.New(), Queue: "q", Kind: "k", Attempt: 3, Key: "mine"}

	c := &jobContext{w: w, info: info}
	if c.inner != nil {
		t.Error("made before it was asked for")
	}
	child, cancel := context.WithCancel(c)
	defer cancel()
	if c.Value(key{}) != "base" || c.Err() != nil || context.Cause(child) != nil {
		t.Error("a fresh context has values and no end")
	}
	c.end(queue.ErrTimeout)
	c.end(queue.ErrCancelled) // the first cause counts
	<-child.Done()
	if !errors.Is(context.Cause(c), queue.ErrTimeout) || !errors.Is(context.Cause(child), queue.ErrTimeout) || !errors.Is(c.Err(), context.Canceled) {
		t.Errorf("causes %v and %v, err %v", context.Cause(c), context.Cause(child), c.Err())
	}

	late := &jobContext{w: w, info: info}
	late.end(queue.ErrDraining) // before anybody looked
	<-late.Done()
	if !errors.Is(context.Cause(late), queue.ErrDraining) {
		t.Errorf("cause %v", context.Cause(late))
	}

	unused := &jobContext{w: w, info: info}
	unused.free()
	<-unused.Done() // what outlives the handler finds it over
	if _, cause := unused.over(); cause != nil || !errors.Is(context.Cause(unused), context.Canceled) {
		t.Errorf("causes %v and %v", cause, context.Cause(unused))
	}
}
