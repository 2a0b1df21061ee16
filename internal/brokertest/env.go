package brokertest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/wire"
)

const (
	ttl        = 6 * time.Second
	crashLimit = 3
	plenty     = 1 << 20
)

// env is one case: a broker, a queue, and the numbers of the calls made so far.
type env struct {
	*testing.T
	ctx   context.Context
	rdb   redis.UniversalClient
	space keys.Space
	b     *broker.Broker
	q     *keys.Queue

	producer uuid.UUID
	sent     uint64            // enqueue calls
	seqs     map[string]uint64 // calls by session and kind
}

func newEnv(t *testing.T, rdb redis.UniversalClient, namespace string) *env {
	t.Helper()
	space, err := keys.NewSpace(namespace)
	if err != nil {
		t.Fatal(err)
	}
	e := &env{T: t, ctx: context.Background(), rdb: rdb, space: space, b: broker.New(rdb, space), producer: uuid.New(),
		seqs: make(map[string]uint64)}
	e.q = e.queue("q")
	return e
}

func (e *env) queue(name string) *keys.Queue {
	e.Helper()
	q, err := e.space.Queue(name)
	e.must(err)
	return q
}

func (e *env) must(err error) {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
}

// id is the n-th id of the case.
func id(n int) uuid.UUID { return uuid.UUID{0: 0x77, 14: byte(n >> 8), 15: byte(n)} }

func ids(from, to int) []uuid.UUID {
	var out []uuid.UUID
	for n := from; n <= to; n++ {
		out = append(out, id(n))
	}
	return out
}

// envelope is a job that says its number.
func envelope(n int, priority uint8) []byte {
	env := wire.Envelope{Kind: "k", Priority: priority, Args: []byte(fmt.Sprintf("args %d \x00\xff", n))}
	return env.Append(nil)
}

// kept is a job that stays for an hour once it has ended.
func kept(n int) []byte {
	env := wire.Envelope{Kind: "k", Args: []byte(fmt.Sprint(n)), Retention: 3_600_000}
	return env.Append(nil)
}

func item(n int, priority uint8) broker.Item {
	return broker.Item{ID: id(n), Envelope: envelope(n, priority)}
}

func (e *env) stamp() broker.Stamp {
	e.sent++
	return broker.Stamp{Producer: e.producer, Lane: 1, Seq: e.sent}
}

// enqueue adds items and holds the outcomes against want ("" = all created).
func (e *env) enqueue(want string, items ...broker.Item) {
	e.Helper()
	got, err := e.b.Enqueue(e.ctx, e.q, e.stamp(), items)
	e.must(err)
	for i := range got {
		if expected := append([]byte(want), "c"...)[min(i, len(want))]; byte(got[i]) != expected {
			e.Fatalf("item %d: outcome %c, want %c", i, got[i], expected)
		}
	}
}

// add enqueues jobs from..to of the default priority.
func (e *env) add(from, to int) {
	e.Helper()
	for ; from <= to; from += broker.MaxBatch {
		var items []broker.Item
		for n := from; n <= min(to, from+broker.MaxBatch-1); n++ {
			items = append(items, item(n, 0))
		}
		e.enqueue("", items...)
	}
}

// addLater schedules jobs from..to, an hour from now.
func (e *env) addLater(from, to int) {
	e.Helper()
	for ; from <= to; from += broker.MaxBatch {
		var items []broker.Item
		for n := from; n <= min(to, from+broker.MaxBatch-1); n++ {
			it := item(n, 0)
			it.Due.In = 3_600_000
			items = append(items, it)
		}
		e.enqueue("", items...)
	}
}

func (e *env) seq(session, kind string) uint64 {
	e.seqs[session+kind]++
	return e.seqs[session+kind]
}

// beat sends one heartbeat and answers its pulse, error and all.
func (e *env) beat(session string, mode broker.Mode) broker.Pulse {
	e.Helper()
	_, pulses, err := e.b.Heartbeat(e.ctx, ttl, []broker.Beat{{Queue: e.q, Session: session, Mode: mode}})
	e.must(err)
	return pulses[0]
}

// register makes a session known.
func (e *env) register(sessions ...string) {
	e.Helper()
	for _, s := range sessions {
		e.must(e.beat(s, broker.Register).Err)
	}
}

// call fills in an exchange of the session's lane 0.
func (e *env) call(session string, want int) *broker.Exchange {
	return &broker.Exchange{Queue: e.q, Session: session, Seq: e.seq(session, "x"), Want: want, Bytes: plenty, First: 256, Widen: broker.Crowd}
}

func (e *env) send(x *broker.Exchange) (broker.Exchanged, error) {
	out, errs := e.b.Exchange(e.ctx, []*broker.Exchange{x})
	return out[0], errs[0]
}

func (e *env) exchange(x *broker.Exchange) broker.Exchanged {
	e.Helper()
	out, err := e.send(x)
	e.must(err)
	return out
}

// claim takes up to want jobs.
func (e *env) claim(session string, want int) []broker.Claimed {
	e.Helper()
	return e.exchange(e.call(session, want)).Jobs
}

// ack ends claims in success and holds the places of those refused against want.
func (e *env) ack(session string, jobs []broker.Claimed, refused ...int) {
	e.Helper()
	x := e.call(session, 0)
	x.Done = claims(jobs)
	e.equal("refused", e.exchange(x).Refused, refused)
}

func claims(jobs []broker.Claimed) []broker.Claim {
	var out []broker.Claim
	for i := range jobs {
		out = append(out, jobs[i].Claim)
	}
	return out
}

// settle ends claims by a verdict and holds the outcomes against want.
func (e *env) settle(session, want string, items ...broker.Settle) {
	e.Helper()
	got, err := e.b.Fail(e.ctx, e.q, session, 0, e.seq(session, "f"), items)
	e.must(err)
	var letters []byte
	for _, word := range got {
		letters = append(letters, byte(word))
	}
	e.equal("outcomes", string(letters), want)
}

func settles(jobs []broker.Claimed, verdict broker.Verdict, delay int64) []broker.Settle {
	var out []broker.Settle
	for i := range jobs {
		out = append(out, broker.Settle{Claim: jobs[i].Claim, Verdict: verdict, Delay: delay})
	}
	return out
}

// expire makes a session look as if it had not been heard of for a while, though others were.
func (e *env) expire(sessions ...string) {
	e.Helper()
	now := e.now()
	for _, s := range sessions {
		e.must(e.rdb.ZAddXX(e.ctx, e.q.Key(keys.Sessions), redis.Z{Member: s, Score: float64(now - 1)}).Err())
	}
	e.must(e.rdb.HSet(e.ctx, e.q.Key(keys.Meta), "beat", now).Err())
	e.must(e.rdb.HDel(e.ctx, e.q.Key(keys.Meta), "no_recover_until").Err())
}

// due makes everything scheduled due, in the order of its due times.
func (e *env) due() {
	e.Helper()
	all, err := e.rdb.ZRange(e.ctx, e.q.Key(keys.Scheduled), 0, -1).Result()
	e.must(err)
	e.pastDue(all)
}

func (e *env) pastDue(members []string) {
	e.Helper()
	var past []redis.Z
	for i, member := range members {
		past = append(past, redis.Z{Member: member, Score: float64(1000 + i)})
	}
	for len(past) > 0 {
		n := min(len(past), 1000)
		e.must(e.rdb.ZAdd(e.ctx, e.q.Key(keys.Scheduled), past[:n]...).Err())
		past = past[n:]
	}
}

// recoverAll recovers a session to the end and answers the last call's word and the sums.
func (e *env) recoverAll(session string) (calls int, sum broker.Recovery) {
	e.Helper()
	for {
		r, err := e.b.Recover(e.ctx, e.q, session, ttl, crashLimit, false)
		e.must(err)
		if calls++; calls > 50 {
			e.Fatalf("recovering %s comes to no end", session)
		}
		sum.Moved, sum.Suspects, sum.Dead = sum.Moved+r.Moved, sum.Suspects+r.Suspects, sum.Dead+r.Dead
		if !r.More {
			sum.Wait = r.Wait
			return calls, sum
		}
	}
}

// now is the server's time in ms.
func (e *env) now() int64 {
	e.Helper()
	now, err := e.rdb.Time(e.ctx).Result()
	e.must(err)
	return now.UnixMilli()
}
