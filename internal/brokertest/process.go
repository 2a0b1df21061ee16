package brokertest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/wire"
)

// await waits for a token as an idle process does.
func (e *env) await(wake bool, queues ...*keys.Queue) (broker.Token, bool) {
	e.Helper()
	asked := make([]bool, len(queues))
	for i := range asked {
		asked[i] = wake
	}
	token, ok, err := e.b.Await(e.ctx, &broker.Wait{Timeout: time.Second, Queues: queues, Wake: asked, Instance: "me"})
	e.must(err)
	return token, ok
}

var processCases = []testCase{
	{"process/one session ttl for all", func(e *env) {
		for _, want := range []time.Duration{7 * time.Second, 9 * time.Second} {
			got, err := e.b.AdoptTTL(e.ctx, want)
			e.must(err)
			e.equal("ttl", got, 7*time.Second)
		}
		e.must(e.b.SetTTL(e.ctx, 4500*time.Millisecond))
		got, err := e.b.AdoptTTL(e.ctx, ttl)
		e.must(err)
		e.equal("ttl", got, 4500*time.Millisecond)
		e.must(e.rdb.HSet(e.ctx, e.space.Settings(), "ttl", "soon").Err())
		_, err = e.b.AdoptTTL(e.ctx, ttl)
		e.wrongKey(err, e.space.Settings())
	}},
	{"process/listing", func(e *env) {
		e.must(e.b.Announce(e.ctx, "a", []byte("{1}")))
		e.must(e.b.Announce(e.ctx, "b", []byte("{2}")))
		e.must(e.b.Announce(e.ctx, "a", []byte("{3}")))
		e.must(e.b.Withdraw(e.ctx, "b", "c"))
		all, err := e.b.Workers(e.ctx)
		e.must(err)
		e.equal("workers", all, map[string]string{"a": "{3}"})
	}},
	{"process/due tokens first, queues by turns", func(e *env) {
		other := e.queue("other22918") // in the slot of q: a blocking pop in a Cluster must not span slots
		for _, q := range []*keys.Queue{e.q, other} {
			e.must(e.rdb.RPush(e.ctx, q.Key(keys.Wake), "1", "1", "1").Err())
		}
		e.must(e.rdb.RPush(e.ctx, other.Key(keys.Due), "1").Err())
		for _, want := range []struct {
			first int
			token broker.Token
		}{{0, broker.Token{Place: 1, Due: true}}, {0, broker.Token{Place: 0}}, {1, broker.Token{Place: 1}}} {
			got, ok, err := e.b.Await(e.ctx, &broker.Wait{Timeout: time.Second, Queues: []*keys.Queue{e.q, other}, Wake: []bool{true, true},
				First: want.first, Instance: "me"})
			e.must(err)
			if !ok || got != want.token {
				e.Errorf("token %+v, %v, want %+v", got, ok, want.token)
			}
		}
	}},
	{"process/orders", func(e *env) {
		order, level, err := e.b.Ordered(e.ctx, "a")
		e.must(err)
		e.equal("order", order+level, "")
		before := e.now()
		e.must(e.b.Order(e.ctx, "a", wire.OrderStop))
		e.must(e.b.Order(e.ctx, "a", wire.OrderQuiet))
		e.must(e.b.Order(e.ctx, "b", wire.OrderStop))
		order, level, err = e.b.Ordered(e.ctx, "a")
		e.must(err)
		word, at := "", int64(0)
		if _, err := fmt.Sscan(order, &word, &at); err != nil || word != wire.OrderQuiet || at < before || at > e.now() {
			e.Errorf("order %q", order)
		}
		e.equal("level", level, "")
		e.must(e.b.OrderLevel(e.ctx, "a", "debug"))
		e.must(e.b.OrderLevel(e.ctx, "c", "warn"))
		if again, level, err := e.b.Ordered(e.ctx, "a"); err != nil || again != order || !strings.HasPrefix(level, "debug 1") {
			e.Errorf("after a level: order %q, level %q, %v", again, level, err)
		}
		all, err := e.b.Orders(e.ctx)
		e.must(err)
		slices.Sort(all)
		e.equal("orders", all, []string{"a", "b", "c"})
		e.must(e.b.Announce(e.ctx, "b", nil))
		e.must(e.b.Withdraw(e.ctx, "b", "c"))
		e.must(e.b.Dismiss(e.ctx, "a"))
		e.equal("keys left", e.names(), nil)
	}},
	{"process/sessions' lives", func(e *env) {
		other := e.queue("other")
		e.must(e.rdb.Set(e.ctx, other.Key(keys.Sessions), "not ours", 0).Err())
		e.add(1, 3)
		e.register("s", "t")
		e.claim("s", 2)
		e.must(e.rdb.ZAdd(e.ctx, e.q.Key(keys.Sessions), redis.Z{Member: "t", Score: -1}).Err())
		now, lives, err := e.b.Lives(e.ctx, []broker.Serving{{Queue: e.q, Session: "s"}, {Queue: e.q, Session: "t"}, {Queue: e.q, Session: "u"},
			{Queue: other, Session: "s"}})
		e.must(err)
		if left := lives[0].Expiry - now.UnixMilli(); left < 1 || left > ttl.Milliseconds() {
			e.Errorf("it expires in %d ms", left)
		}
		lives[0].Expiry = 1
		e.equal("lives", lives, []broker.Life{{Expiry: 1, Running: 2}, {Expiry: -1}, {}, {}})
		none := make([]broker.Serving, 1200)
		for i := range none {
			none[i] = broker.Serving{Queue: e.q, Session: fmt.Sprint(i)}
		}
		none[1100].Session = "s"
		_, lives, err = e.b.Lives(e.ctx, none)
		e.must(err)
		e.equal("running", []int64{lives[1099].Running, lives[1100].Running}, []int64{0, 2})
	}},
	{"process/keys of another type", func(e *env) {
		for _, key := range []string{e.space.Settings(), e.space.Workers(), e.space.Orders()} {
			e.must(e.rdb.Set(e.ctx, key, "not ours", 0).Err())
		}
		_, err := e.b.AdoptTTL(e.ctx, ttl)
		e.wrongKey(err, e.space.Settings())
		e.wrongKey(e.b.SetTTL(e.ctx, ttl), e.space.Settings())
		e.wrongKey(e.b.Announce(e.ctx, "a", nil), e.space.Workers())
		e.wrongKey(e.b.Withdraw(e.ctx, "a"), e.space.Workers())
		_, err = e.b.Workers(e.ctx)
		e.wrongKey(err, e.space.Workers())
		e.wrongKey(e.b.Order(e.ctx, "a", wire.OrderStop), e.space.Orders())
		e.wrongKey(e.b.Dismiss(e.ctx, "a"), e.space.Orders())
		_, _, err = e.b.Ordered(e.ctx, "a")
		e.wrongKey(err, e.space.Orders())
		_, err = e.b.Orders(e.ctx)
		e.wrongKey(err, e.space.Orders())
	}},
	{"process/tokens end the wait", func(e *env) {
		other := e.queue("other22918") // in the slot of q: a blocking pop in a Cluster must not span slots
		e.add(1, 1)
		token, ok := e.await(true, other, e.q)
		e.equal("wake token", []any{token, ok}, []any{broker.Token{Place: 1}, true})
		e.addLater(2, 2)
		token, ok = e.await(true, e.q, other)
		e.equal("due token", []any{token, ok}, []any{broker.Token{Due: true}, true})
		e.must(e.b.Nudge(e.ctx, e.q))
		e.must(e.b.Poke(e.ctx, e.q, "somebody else"))
		e.must(e.b.Poke(e.ctx, e.q, "me"))
		_, ok = e.await(false, e.q, other) // it waits on no wake list, so only its own poke ends this
		e.equal("a token", ok, false)
		e.equal("poke of another", e.rdb.Exists(e.ctx, e.q.Poke("somebody else"), e.q.Poke("me")).Val(), int64(1))
		if left := e.rdb.PTTL(e.ctx, e.q.Poke("somebody else")).Val(); left <= 0 || left > 10*time.Second {
			e.Errorf("it leaves in %v", left)
		}
		token, ok = e.await(true, e.q)
		e.equal("wake token", []any{token, ok}, []any{broker.Token{}, true})
	}},
	{"process/a session that comes or goes arms the timer", func(e *env) {
		e.addLater(1, 1)
		e.must(e.rdb.Del(e.ctx, e.q.Key(keys.Due)).Err()) // taken by a process that is gone
		e.register("s")
		e.equal("due tokens", e.length(keys.Due), int64(1))
		e.must(e.beat("s", broker.Keep).Err)
		e.register("t")
		e.equal("due tokens", e.length(keys.Due), int64(1))
		e.must(e.rdb.Del(e.ctx, e.q.Key(keys.Due)).Err())
		e.equal("gone", e.beat("t", broker.Bye).Gone, true)
		e.equal("due tokens", e.length(keys.Due), int64(1))
	}},
}
