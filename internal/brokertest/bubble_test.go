package brokertest

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/internal/wire"
)

// inBubble runs a case on bubble time, with the means to hurt its server.
func inBubble(t *testing.T, run func(e *env, b *redistest.Bubble)) {
	synctest.Test(t, func(t *testing.T) {
		b := redistest.NewBubble(t)
		run(newEnv(t, b.Client(), "bubble"), b)
	})
}

// beatFor keeps sessions alive for d.
func (e *env) beatFor(d time.Duration, sessions ...string) {
	e.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(min(ttl/3, time.Until(end))) {
		for _, s := range sessions {
			e.must(e.beat(s, broker.Keep).Err)
		}
	}
}

func TestSessionLapses(t *testing.T) {
	inBubble(t, func(e *env, _ *redistest.Bubble) {
		e.add(1, 1)
		e.register("s", "t")
		e.claim("s", 1)
		e.beatFor(ttl-time.Second, "t")
		e.equal("recovery before its time", e.recover("s"), broker.Recovery{})
		e.state(1, broker.StateRunning)
		e.beatFor(2*time.Second, "t")
		p := e.beat("t", broker.Keep)
		e.equal("expired", p.Expired, []string{"s"})
		e.equal("recovery", e.recover("s"), broker.Recovery{Moved: 1})
		e.fails(e.beat("s", broker.Keep).Err, broker.ErrLost)
	})
}

func TestBlackoutExpiresNobody(t *testing.T) {
	inBubble(t, func(e *env, _ *redistest.Bubble) {
		e.add(1, 2)
		e.register("s", "t")
		e.claim("s", 1)
		e.claim("t", 1)
		time.Sleep(time.Minute) // nothing comes through to Redis
		e.equal("recovery at once", e.recover("t"), broker.Recovery{Wait: true})
		back := time.Now()
		p := e.beat("s", broker.Keep)
		e.must(p.Err)
		e.equal("expired", p.Expired, nil)
		e.equal("recover from", p.NextExpiry, back.Add(max(ttl, 5*time.Second)).UnixMilli())
		e.beatFor(ttl-time.Millisecond, "s")
		e.equal("recovery early", e.recover("t"), broker.Recovery{Wait: true})
		time.Sleep(time.Millisecond)
		e.equal("expired", e.beat("s", broker.Keep).Expired, []string{"t"})
		e.equal("recovery", e.recover("t"), broker.Recovery{Moved: 1})
		e.state(1, broker.StateRunning)
	})
}

// The server's clock goes back by an hour: sessions must not live for an hour, nor lapse at once, and tokens still grow.
func TestClockGoesBack(t *testing.T) {
	inBubble(t, func(e *env, b *redistest.Bubble) {
		e.add(1, 2)
		e.register("s", "t")
		first := e.claim("s", 1)
		earlier := time.Now().Add(-time.Hour)
		b.M.SetTime(earlier)
		p := e.beat("s", broker.Keep)
		e.must(p.Err)
		e.equal("expired", p.Expired, nil)
		now := earlier.UnixMilli()
		e.equal("no_recover_until", e.meta("no_recover_until"), fmt.Sprint(now+ttl.Milliseconds()))
		for _, s := range []string{"s", "t"} {
			if left := e.expiry(s) - now; left > ttl.Milliseconds() {
				e.Errorf("session %s lives for %d ms", s, left)
			}
		}
		e.equal("recovery", e.recover("t"), broker.Recovery{Wait: true})
		if second := e.claim("s", 1); second[0].Token <= first[0].Token {
			e.Errorf("token %d after %d", second[0].Token, first[0].Token)
		}
		b.M.SetTime(earlier.Add(ttl + time.Second))
		p = e.beat("s", broker.Keep)
		e.equal("expired", p.Expired, nil) // it jumped on by more than half the time to live: another blackout
		b.M.SetTime(earlier.Add(2*ttl + 2*time.Second))
		e.must(e.beat("s", broker.Keep).Err)
	})
}

// knowScripts makes the server know every script: a call by digest alone is what is to come late, not the answer that
// the digest is unknown.
func (e *env) knowScripts() {
	e.Helper()
	other := newEnv(e.T, e.rdb, "elsewhere")
	e.must(other.b.Order(other.ctx, "a", wire.OrderQuiet))
	for _, s := range other.transitions(other.stage()) {
		e.must(s.call())
		other.expire("s")
	}
}

// An operator's call that was held up must not undo a later one.
func TestLateVerbsAreVoid(t *testing.T) {
	inBubble(t, func(e *env, b *redistest.Bubble) {
		e.inEachState()
		slow := broker.New(b.Client(), e.space)
		old := e.state(1, broker.StateReady).Envelope
		calls := map[string]func() error{
			"pause":   func() error { _, err := slow.Pause(e.ctx, e.q, true); return err },
			"resume":  func() error { _, err := slow.Pause(e.ctx, e.q, false); return err },
			"cancel":  func() error { _, err := slow.Cancel(e.ctx, e.q, ids(1, 1)); return err },
			"delete":  func() error { _, err := slow.Delete(e.ctx, e.q, ids(2, 2)); return err },
			"order":   func() error { return slow.Order(e.ctx, "a", wire.OrderQuiet) },
			"drop":    func() error { _, _, err := slow.Drop(e.ctx, e.q); return err },
			"redrive": func() error { _, err := slow.Redrive(e.ctx, e.q, ids(4, 4)); return err },
			"purge":   func() error { _, _, err := slow.Purge(e.ctx, e.q, "dead"); return err },
			"edit":    func() error { _, err := slow.Edit(e.ctx, e.q, id(1), old, envelope(1, 9), nil); return err },
		}
		e.knowScripts()
		before := e.dump()
		for name, call := range calls {
			release := b.HoldRequest(redistest.Once(redistest.On("EVALSHA", "EVAL")))
			got := make(chan error, 1)
			go func() { got <- call() }()
			// Past the read timeout the connection is gone, and the call executes after its client gave up.
			for b.Held() == 0 {
				time.Sleep(time.Millisecond)
			}
			time.Sleep(5001 * time.Millisecond)
			release()
			if err := <-got; err == nil {
				e.Errorf("%s reported success", name)
			}
			e.unchanged(before)
		}
	})
}

// The same calls just within their time are carried out.
func TestSlowVerbsAreNot(t *testing.T) {
	inBubble(t, func(e *env, b *redistest.Bubble) {
		slow := broker.New(b.Client(), e.space)
		e.knowScripts()
		release := b.HoldRequest(redistest.Once(redistest.On("EVALSHA", "EVAL")))
		go func() { _, _ = slow.Pause(e.ctx, e.q, true) }() // gives up after its read timeout
		for b.Held() == 0 {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(4900 * time.Millisecond)
		release()
		e.equal("paused", e.counts(0, 0, 0, 0, 0).Paused, true)
	})
}

// Every reply is lost once, on the wire, and each call is sent again as it was.
func TestLostReplies(t *testing.T) {
	inBubble(t, func(e *env, b *redistest.Bubble) {
		lossy := broker.New(b.Client(), e.space)
		lose := func(call func(context.Context) error) {
			e.Helper()
			b.DropReplies(redistest.Once(redistest.On("EVALSHA", "EVAL")))
			err := call(e.ctx)
			b.DropReplies(nil)
			if err == nil {
				e.Fatal("the reply was not lost")
			}
		}
		e.register("s")
		e.enqueue("e", broker.Item{}) // from here on the server knows the scripts
		e.exchange(e.call("s", 0))
		e.settle("s", "x", broker.Settle{Verdict: broker.Dead})
		stamp, items := e.stamp(), []broker.Item{item(1, 0), item(2, 0)}
		e.resend(e.stamp(), "c", item(50, 0))
		stamp.Lane = 9
		lose(func(ctx context.Context) error { _, err := lossy.Enqueue(ctx, e.q, stamp, items); return err })
		e.resend(stamp, "cc", items...)
		x := e.call("s", 3)
		e.equal("jobs ready", e.counts(3, 0, 0, 0, 0).Ready, int64(3))
		lose(func(ctx context.Context) error {
			_, errs := lossy.Exchange(ctx, []*broker.Exchange{x})
			return errs[0]
		})
		e.counts(0, 0, 3, 0, 0)
		jobs := e.exchange(x).Jobs
		e.claimed(jobs, id(50), id(1), id(2))
		y := e.call("s", 3)
		y.Done = claims(jobs[:2])
		lose(func(ctx context.Context) error {
			_, errs := lossy.Exchange(ctx, []*broker.Exchange{y})
			return errs[0]
		})
		e.equal("refused", e.exchange(y).Refused, nil)
		e.total("succeeded", 2)
		last := settles(jobs[2:], broker.Release, 0)
		lose(func(ctx context.Context) error { _, err := lossy.Fail(ctx, e.q, "s", 0, 2, last); return err })
		got, err := e.b.Fail(e.ctx, e.q, "s", 0, 2, last)
		e.must(err)
		e.equal("outcomes", got, []broker.Settled{broker.SettledDone})
		e.counts(1, 0, 0, 0, 0)
	})
}

// A call is held up, sent again and answered, followed by newer ones, and then executed late.
func TestLateCallsOfALane(t *testing.T) {
	inBubble(t, func(e *env, b *redistest.Bubble) {
		slow := broker.New(b.Client(), e.space)
		e.register("s")
		e.add(1, 9)
		stamp := broker.Stamp{Producer: e.producer, Lane: 5, Seq: 1}
		x := e.call("s", 2)
		e.exchange(x) // from here on the server knows the script
		x = e.call("s", 2)
		releases := []func(){
			late(e, b, func() { _, _ = slow.Enqueue(e.ctx, e.q, stamp, []broker.Item{item(20, 0)}) }),
			late(e, b, func() { slow.Exchange(e.ctx, []*broker.Exchange{x}) }),
		}
		e.resend(stamp, "c", item(20, 0))
		stamp.Seq++
		e.resend(stamp, "c", item(21, 0))
		jobs := e.exchange(x).Jobs
		e.claimed(jobs, ids(3, 4)...)
		e.ack("s", jobs)
		jobs = e.claim("s", 20) // job 20 runs and leaves before the call that brought it comes round again
		e.equal("jobs", len(jobs), 7)
		e.ack("s", jobs)
		before := e.dump()
		for _, release := range releases {
			release()
			e.unchanged(before)
		}
	})
}

// late starts a call that is held before it reaches the server, until its release.
func late(e *env, b *redistest.Bubble, call func()) (release func()) {
	e.Helper()
	held := b.Held()
	release = b.HoldRequest(redistest.Once(redistest.On("EVALSHA", "EVAL")))
	go call() // it gives up after its read timeout
	for b.Held() == held {
		time.Sleep(time.Millisecond)
	}
	return release
}
