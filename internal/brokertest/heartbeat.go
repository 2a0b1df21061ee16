package brokertest

import (
	"fmt"
	"strconv"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/keys"
)

func (e *env) expiry(session string) int64 {
	e.Helper()
	score, err := e.rdb.ZScore(e.ctx, e.q.Key(keys.Sessions), session).Result()
	e.must(err)
	return int64(score)
}

func (e *env) sessions() []string {
	e.Helper()
	all, err := e.rdb.ZRange(e.ctx, e.q.Key(keys.Sessions), 0, -1).Result()
	e.must(err)
	return all
}

var heartbeatCases = []testCase{
	{"heartbeat/register, keep, bye", func(e *env) {
		e.fails(e.beat("s", broker.Keep).Err, broker.ErrLost)
		e.register("s")
		if left := e.expiry("s") - e.now(); left < ttl.Milliseconds()-2000 || left > ttl.Milliseconds() {
			e.Errorf("expires in %d ms", left)
		}
		e.expire("s")
		p := e.beat("s", broker.Keep) // late, but nobody recovered it
		e.must(p.Err)
		if e.expiry("s") <= e.now() {
			e.Error("it was not extended")
		}
		e.exchange(e.call("s", 1))
		p = e.beat("s", broker.Bye)
		e.equal("gone", p.Gone, true)
		e.equal("sessions", e.sessions(), []string{})
		e.equal("lanes", e.rdb.Exists(e.ctx, e.q.Lanes("s")).Val(), int64(0))
		e.equal("gone", e.beat("s", broker.Bye).Gone, true)
		e.fails(e.beat("s", broker.Keep).Err, broker.ErrLost)
	}},
	{"heartbeat/bye with jobs still running", func(e *env) {
		e.add(1, 1)
		e.register("s")
		jobs := e.claim("s", 1)
		p := e.beat("s", broker.Bye)
		e.equal("gone, error", []any{p.Gone, p.Err}, []any{false, nil})
		e.equal("sessions", e.sessions(), []string{"s"})
		e.ack("s", jobs)
		e.equal("gone", e.beat("s", broker.Bye).Gone, true)
	}},
	{"heartbeat/the timer is handed over", func(e *env) {
		e.register("s")
		e.addLater(1, 1)
		e.must(e.rdb.Del(e.ctx, e.q.Key(keys.Due)).Err()) // somebody holds the timer
		e.must(e.beat("s", broker.Keep).Err)
		e.equal("due tokens while it is held", e.length(keys.Due), int64(0))
		e.must(e.beat("s", broker.Bye).Err)
		e.equal("due tokens once its holder may be gone", e.length(keys.Due), int64(1))
		e.register("t")
		e.equal("due tokens, never a second for nothing", e.length(keys.Due), int64(1))
	}},
	{"heartbeat/lost sessions are not revived", func(e *env) {
		e.register("s", "t")
		e.must(e.rdb.ZAdd(e.ctx, e.q.Key(keys.Sessions), zero("s", -1)).Err())
		for _, mode := range []broker.Mode{broker.Register, broker.Keep} {
			e.fails(e.beat("s", mode).Err, broker.ErrLost)
		}
		e.equal("gone", e.beat("s", broker.Bye).Gone, false)
		e.equal("expiry", e.expiry("s"), int64(-1))
		e.equal("expired", e.beat("t", broker.Keep).Expired, []string{"s"})
	}},
	{"heartbeat/what the timers need", func(e *env) {
		p := e.beat("s", broker.Register)
		e.equal("pulse of an empty queue", p, broker.Pulse{})
		e.add(1, 1)
		it := item(2, 0)
		it.Due.At = e.now() + 90_000
		e.enqueue("", it)
		e.register("t")
		p = e.beat("s", broker.Keep)
		e.equal("claimable, paused, sweep", []bool{p.Claimable, p.Paused, p.Sweep}, []bool{true, false, false})
		e.equal("next due", p.NextDue, it.Due.At)
		e.equal("next expiry", p.NextExpiry, e.expiry("t"))
		e.equal("expired", p.Expired, nil)
		jobs := e.claim("s", 1)
		e.pause(true, true)
		p = e.beat("s", broker.Keep)
		e.equal("claimable, paused", []bool{p.Claimable, p.Paused}, []bool{false, true})
		e.equal("token", p.Token, jobs[0].Token)
		e.expire("t")
		p = e.beat("s", broker.Keep)
		e.equal("expired", p.Expired, []string{"t"})
		e.equal("next expiry", p.NextExpiry, int64(0))
	}},
	{"heartbeat/cancels are told", func(e *env) {
		e.add(1, 3)
		e.register("s")
		jobs := e.claim("s", 2)
		e.equal("cancels", e.beat("s", broker.Keep).Cancels, nil)
		e.verb(e.b.Cancel, 2, broker.StateRunning, "s")
		e.verb(e.b.Cancel, 3, broker.StateCancelled, "")
		e.equal("cancels", e.beat("s", broker.Keep).Cancels, []broker.Claim{jobs[1].Claim})
		e.equal("mark", e.state(2, broker.StateRunning).Cancel, jobs[1].Token)
	}},
	{"heartbeat/retention has work", func(e *env) {
		e.register("s")
		e.must(e.rdb.ZAdd(e.ctx, e.q.Key(keys.Finished), zero(sid(1), float64(e.now()+60_000))).Err())
		e.must(e.rdb.ZAdd(e.ctx, e.q.Key(keys.Dead), zero(sid(2), float64(e.now()-60_000))).Err())
		e.equal("sweep", e.beat("s", broker.Keep).Sweep, false)
		e.must(e.rdb.HSet(e.ctx, e.q.Key(keys.Meta), "keep_dead", 59_000).Err())
		e.equal("sweep", e.beat("s", broker.Keep).Sweep, true)
		e.must(e.rdb.Del(e.ctx, e.q.Key(keys.Dead)).Err())
		e.equal("sweep", e.beat("s", broker.Keep).Sweep, false)
		e.must(e.rdb.ZAdd(e.ctx, e.q.Key(keys.Finished), zero(sid(1), float64(e.now()))).Err())
		e.equal("sweep", e.beat("s", broker.Keep).Sweep, true)
	}},
	{"heartbeat/several queues in one call, one of them broken", func(e *env) {
		other, broken := e.queue("other"), e.queue("broken")
		e.must(e.rdb.Set(e.ctx, broken.Key(keys.Dead), "x", 0).Err())
		beats := []broker.Beat{{Queue: e.q, Session: "a", Mode: broker.Register}, {Queue: broken, Session: "b", Mode: broker.Register},
			{Queue: other, Session: "c", Mode: broker.Register}, {Queue: other, Session: "d", Mode: broker.Keep}}
		now, pulses, err := e.b.Heartbeat(e.ctx, ttl, beats)
		e.must(err)
		e.must(pulses[0].Err)
		e.wrongKey(pulses[1].Err, broken.Key(keys.Dead))
		e.must(pulses[2].Err)
		e.fails(pulses[3].Err, broker.ErrLost)
		if d := now/1000 - e.now(); d > 0 || d < -5000 {
			e.Errorf("its time is %d ms off", d)
		}
	}},
}

var reconcileCases = []testCase{
	{"heartbeat/reconcile", func(e *env) {
		e.add(1, 5)
		e.register("s")
		jobs := e.claim("s", 4)
		last := e.beat("s", broker.Keep).Token
		late := e.claim("s", 1)
		ask := func(from, to int64) broker.Pulse {
			e.Helper()
			_, p, err := e.b.Heartbeat(e.ctx, ttl, []broker.Beat{{Queue: e.q, Session: "s", Mode: broker.Keep, From: from, To: to}})
			e.must(err)
			return p[0]
		}
		p := ask(0, last)
		e.equal("page", p.Page, claims(jobs))
		e.equal("running", p.Running, 4)
		e.ack("s", jobs[:1])
		p = ask(jobs[1].Token, last)
		e.equal("page", p.Page, claims(jobs[2:]))
		e.equal("running", p.Running, 3)
		e.equal("page", ask(last, late[0].Token).Page, claims(late))
		p = ask(0, 0)
		e.equal("not asked for", []int{len(p.Page), p.Running}, []int{0, 0})
	}},
	{"heartbeat/reconcile a page at a time", func(e *env) {
		e.add(1, 1000)
		e.register("s")
		var held []broker.Claim
		for range 4 {
			held = append(held, claims(e.claim("s", 250))...)
		}
		var got []broker.Claim
		from, to := int64(0), held[999].Token
		for i := range 3 {
			_, p, err := e.b.Heartbeat(e.ctx, ttl, []broker.Beat{{Queue: e.q, Session: "s", Mode: broker.Keep, From: from, To: to}})
			e.must(err)
			e.equal("running", p[0].Running, 1000)
			e.equal("page "+strconv.Itoa(i), len(p[0].Page), []int{400, 400, 200}[i])
			got = append(got, p[0].Page...)
			from = got[len(got)-1].Token
		}
		e.equal("claims", got, held)
	}},
	{"heartbeat/blackout guard", func(e *env) {
		e.register("s", "t")
		e.add(1, 1)
		e.claim("s", 1)
		now := e.now()
		// Nobody could send a heartbeat for longer than half the time to live.
		e.must(e.rdb.HSet(e.ctx, e.q.Key(keys.Meta), "beat", now-ttl.Milliseconds()/2-1000).Err())
		e.must(e.rdb.ZAdd(e.ctx, e.q.Key(keys.Sessions), zero("s", float64(now-1)), zero("far", float64(now+900_000))).Err())
		p := e.beat("t", broker.Keep)
		e.equal("expired", p.Expired, nil)
		if left := p.NextExpiry - now; left < ttl.Milliseconds() || left > ttl.Milliseconds()+5000 {
			e.Errorf("recovery may begin in %d ms", left)
		}
		if left := e.expiry("far") - now; left > ttl.Milliseconds()+5000 {
			e.Errorf("a session expires in %d ms only", left)
		}
		e.equal("expiry of the one that lapsed", e.expiry("s"), now-1)
		_, sum := e.recoverAll("s")
		e.equal("recovery", sum, broker.Recovery{Wait: true})
		e.must(e.beat("s", broker.Keep).Err) // the chance that it was to get
		e.must(e.rdb.HDel(e.ctx, e.q.Key(keys.Meta), "no_recover_until").Err())
		_, sum = e.recoverAll("s")
		e.equal("recovery", sum, broker.Recovery{})
		e.counts(0, 0, 1, 0, 0)
	}},
	{"heartbeat/steady beats arm no guard", func(e *env) {
		e.register("s")
		for i := range 5 {
			e.must(e.rdb.HSet(e.ctx, e.q.Key(keys.Meta), "beat", e.now()-ttl.Milliseconds()/2+900).Err())
			e.must(e.beat(fmt.Sprint("s", i), broker.Register).Err)
		}
		e.equal("no_recover_until", e.meta("no_recover_until"), "")
	}},
}
