package brokertest

import (
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
)

func TestLateDirectCalls(t *testing.T) {
	onAnyExpress(t, func(f *fast) {
		f.resend(f.stamp(), "c", item(1, 0))
		stamp, jobs := f.next(), made(2, 9, 0)
		f.direct(stamp, jobs)
		f.refused(stamp, jobs)
		f.resend(stamp, "cccccccc", jobs...)
		newer := f.next()
		f.direct(newer, made(10, 17, 0))
		f.refused(stamp, jobs)
		f.edit(2, envelope(2, 3), nil, broker.StateEdited)
		f.refused(stamp, jobs)
		f.register("s")
		claimed := f.claim("s", 20)
		f.refused(stamp, jobs)
		f.ack("s", claimed)
		f.refused(stamp, jobs)
		f.refused(newer, made(10, 17, 0))
		f.counts(0, 0, 0, 0, 0)
		f.must(f.rdb.FlushAll(f.ctx).Err())
		f.refused(newer, made(10, 17, 0))
	})
}

func TestDirectCallsNeedARecord(t *testing.T) {
	onAnyExpress(t, func(f *fast) {
		f.refused(f.next(), made(1, 8, 0))
		stamp := f.next()
		f.refused(stamp, made(1, 8, 0))
		f.resend(stamp, "cccccccc", made(1, 8, 0)...)
		f.direct(f.next(), made(11, 18, 0))
		f.must(f.rdb.HSet(f.ctx, f.q.Key(keys.Producers), string(f.producer[:])+"1", "no record").Err())
		f.refused(f.next(), made(21, 28, 0))
	})
}

func TestDirectCallsAreVoidSoon(t *testing.T) {
	onAnyExpress(t, func(f *fast) {
		f.resend(f.stamp(), "c", item(1, 0))
		call := broker.Call{Batch: broker.Batch{Queue: f.q, Stamp: f.next(), Items: made(2, 9, 0)}, Start: time.Now().Add(-broker.DirectFor - 10*time.Millisecond)}
		f.refusedCall(&call)
		f.refusedCall(&call)
		call.Start = time.Now()
		_, _, err := f.call(&call)
		f.must(err)
		f.counts(9, 0, 0, 0, 0)
	})
}

func TestDirectCallsBehindOthers(t *testing.T) {
	onAnyExpress(t, func(f *fast) {
		before := broker.Stamp{Producer: f.producer, Lane: 7, Seq: 5}
		f.resend(before, "c", item(0, 0))
		f.resend(f.stamp(), "c", item(1, 0))
		behind := func(stamp broker.Stamp) *broker.Call {
			return &broker.Call{Batch: broker.Batch{Queue: f.q, Stamp: f.next(), Items: made(2, 9, 0)}, Start: time.Now(), After: &stamp}
		}
		later, unknown := before, before
		later.Seq, unknown.Lane = 6, 8
		f.refusedCall(behind(later))
		f.refusedCall(behind(unknown))
		_, direct, err := f.call(behind(before))
		f.must(err)
		f.equal("direct", direct, true)
		f.counts(10, 0, 0, 0, 0)
	})
}

func TestDirectCallsThatAreNotAllowed(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		admin := redistest.Client(t, srv)
		for _, missing := range [][]any{{"-multi"}, {"-rename"}, {"-del"}, {"-discard"}, ownKeysAlone()} {
			f := &fast{env: newEnv(t, admin, "direct")}
			f.must(admin.FlushAll(f.ctx).Err())
			f.must(admin.Do(f.ctx, append([]any{"ACL", "SETUSER", "app", "reset", "on", ">secret", "~*", "&*", "+@all"}, missing...)...).Err())
			f.connect(f.to(srv.Addr(), "app"))
			f.resend(f.stamp(), "c", item(1, 0))
			if got, direct, err := f.send(f.q, f.next(), made(2, 9, 0)); direct || err != nil || got != "cccccccc" {
				t.Errorf("%s: %q, direct %v, %v", missing, got, direct, err)
			}
			f.x.Free()
		}
	})
}

// ownKeysAlone are the rules for a user who has the keys of all queues, by name, and no other.
func ownKeysAlone() []any {
	rules := []any{"resetkeys"}
	for _, part := range strings.Fields("jobs state suspect scheduled sessions producers dead finished results cancels unique unique_until wake due meta ready:?") {
		rules = append(rules, "~direct:*{*}:"+part)
	}
	return rules
}

func TestDirectCallsThatAreNotAllowedAnyMore(t *testing.T) {
	onExpress(t, func(f *fast) {
		f.resend(f.stamp(), "c", item(1, 0))
		f.must(f.rdb.Do(f.ctx, "ACL", "SETUSER", "default", "-time").Err())
		there, late := f.dump(), f.next()
		if _, direct, err := f.send(f.q, late, made(2, 9, 0)); !direct || !broker.Unanswered(err) {
			t.Errorf("without the time: direct %v, %v", direct, err)
		}
		f.must(f.rdb.Do(f.ctx, "ACL", "SETUSER", "default", "+time").Err())
		f.unchanged(there)
		f.again()
		f.must(f.rdb.Do(f.ctx, "ACL", "SETUSER", "default", "-rpush").Err())
		before, stamp := f.dump(), f.next()
		if _, direct, err := f.send(f.q, stamp, made(2, 9, 0)); !direct || !broker.Unanswered(err) || !strings.Contains(err.Error(), "NOPERM") {
			t.Errorf("direct %v, %v", direct, err)
		}
		f.unchanged(before)
		f.must(f.rdb.Do(f.ctx, "ACL", "SETUSER", "default", "+rpush").Err())
		if got, direct, err := f.send(f.q, stamp, made(2, 9, 0)); direct || err != nil || got != "cccccccc" {
			t.Errorf("%q, direct %v, %v", got, direct, err)
		}
	})
}

func TestLateDirectCallThatIsNotStopped(t *testing.T) {
	onExpress(t, func(f *fast) {
		for _, rules := range [][]string{{"-rename"}, {"-del"}, {"-exists", "-lrange", "-type"}, {"resetkeys", "~direct:*{q}:jobs*", "~direct:*{q}:[pwm]*", "~direct:*{q}:ready:0"}} {
			f.must(f.rdb.FlushAll(f.ctx).Err())
			f.resend(f.stamp(), "c", item(1, 0))
			stamp := f.next()
			f.direct(stamp, made(2, 9, 0))
			args := []any{"ACL", "SETUSER", "default"}
			for _, rule := range rules {
				args = append(args, rule)
			}
			f.must(f.rdb.Do(f.ctx, args...).Err())
			if _, direct, err := f.send(f.q, stamp, made(2, 9, 0)); !direct || !broker.Unanswered(err) {
				t.Errorf("%s: direct %v, %v", rules, direct, err)
			}
			f.must(f.rdb.Do(f.ctx, "ACL", "SETUSER", "default", "+@all", "allkeys").Err())
			for n := 1; n <= 9; n++ {
				f.state(n, broker.StateReady)
			}
			f.again()
			f.direct(f.next(), made(12, 19, 0))
			for n := 1; n <= 9; n++ {
				f.state(n, broker.StateReady)
			}
			f.state(12, broker.StateReady)
		}
	})
}

// again takes a new connection.
func (f *fast) again() {
	f.Helper()
	f.x.Close()
	f.x.Free()
	f.connect(f.dial)
}
