package brokertest

import (
	"errors"
	"maps"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/conn"
	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
)

// A direct call leaves what the script would have left.
func TestDirectIsLikeTheScript(t *testing.T) {
	onAnyExpress(t, func(f *fast) {
		for name, prepare := range map[string]func(q *keys.Queue){
			"nothing there": func(*keys.Queue) {},
			"no token": func(q *keys.Queue) {
				f.must(f.rdb.Del(f.ctx, q.Key(keys.Wake)).Err())
			},
			"paused": func(q *keys.Queue) {
				_, err := f.b.Pause(f.ctx, q, true)
				f.must(errors.Join(err, f.rdb.Del(f.ctx, q.Key(keys.Wake)).Err()))
			},
		} {
			var left [2]string
			for way, q := range []*keys.Queue{f.queue("script"), f.queue("direct")} {
				f.q = q
				first, second := f.stamp(), f.next()
				f.resend(first, "c", item(1, 0))
				prepare(q)
				if jobs := made(2, 9, 7); way == 0 {
					f.resend(second, "cccccccc", jobs...)
				} else {
					f.direct(second, jobs)
				}
				left[way] = f.told(q)
				f.must(f.rdb.FlushAll(f.ctx).Err())
				f.sent -= 2
			}
			f.equal(name, left[1], left[0])
		}
	})
}

var times = regexp.MustCompile(`\d{13}`)

// told is what a queue has in Redis, but for its name and the time.
func (f *fast) told(q *keys.Queue) string {
	f.Helper()
	var text strings.Builder
	for place := range keys.Fixed {
		if value, there := f.dump()[q.Key(place)]; there {
			text.WriteString(strconv.Itoa(place) + ": " + times.ReplaceAllString(value, "TIME") + "\n")
		}
	}
	return text.String()
}

// What was sent again, and arrives late, changes nothing: whatever became of the jobs, and of the queue.
// A lane without a record, which an earlier copy of the call may have had, is no lane for a direct call.
// A call that was given up is void soon, by the server's clock as it was last heard.
// A call is carried out only if the one before it was.
// Of a key of another type nothing is written.
func TestDirectCallsOnWrongKeys(t *testing.T) {
	onAnyExpress(t, func(f *fast) {
		for _, place := range []int{keys.Jobs, keys.Producers, keys.Wake, keys.Meta, keys.Ready} {
			f.must(f.rdb.FlushAll(f.ctx).Err())
			f.resend(f.stamp(), "c", item(1, 0))
			f.must(f.rdb.Set(f.ctx, f.q.Key(place), "mine", 0).Err())
			f.refused(f.next(), made(2, 9, 0))
		}
		f.must(f.rdb.FlushAll(f.ctx).Err())
		f.resend(f.stamp(), "c", item(1, 0))
		f.must(f.rdb.HSet(f.ctx, f.q.Key(keys.Meta), "enqueued", "no number").Err())
		f.refused(f.next(), made(2, 9, 0))
		f.resend(f.next(), "cccccccc", made(2, 9, 0)...)
	})
}

// A server that forgets its scripts at any time is none the worse.
func TestDirectCallsWithoutScripts(t *testing.T) {
	onAnyExpress(t, func(f *fast) {
		f.resend(f.stamp(), "c", item(1, 0))
		stamp := f.next()
		for range 3 {
			f.must(f.rdb.ScriptFlush(f.ctx).Err())
			f.direct(stamp, made(2, 9, 0))
			f.must(f.rdb.ScriptFlush(f.ctx).Err())
			f.refused(stamp, made(2, 9, 0))
			f.must(f.rdb.FlushAll(f.ctx).Err())
			f.resend(f.stamp(), "c", item(1, 0))
			stamp = f.next()
		}
	})
}

// Only calls of several new jobs, all for now and of one priority, are direct ones.
func TestWhichCallsAreDirect(t *testing.T) {
	onAnyExpress(t, func(f *fast) {
		f.resend(f.stamp(), "c", item(0, 0))
		change := func(at int, change func(*broker.Item)) []broker.Item {
			jobs := made(10, 17, 0)
			change(&jobs[at])
			return jobs
		}
		fresh := f.next()
		fresh.Recorded = false
		for name, c := range map[string]struct {
			stamp broker.Stamp
			jobs  []broker.Item
		}{
			"few":              {f.next(), made(10, 13, 0)},
			"ids of theirs":    {f.next(), change(3, func(i *broker.Item) { i.Made = false })},
			"delayed":          {f.next(), change(7, func(i *broker.Item) { i.Due.In = 60_000 })},
			"until a time":     {f.next(), change(0, func(i *broker.Item) { i.Due.At = 1 })},
			"another priority": {f.next(), change(1, func(i *broker.Item) { *i = made(11, 11, 9)[0] })},
			"no envelope":      {f.next(), change(2, func(i *broker.Item) { i.Envelope = []byte("none") })},
			"no record":        {fresh, made(10, 17, 0)},
		} {
			f.must(f.rdb.FlushAll(f.ctx).Err())
			if _, direct, err := f.send(f.q, c.stamp, c.jobs); direct || err != nil {
				t.Errorf("%s: direct %v, %v", name, direct, err)
			}
		}
		f.direct(f.next(), made(20, 27, 0))
	})
}

// A full server takes nothing, and one that became a replica says so.
func TestDirectCallsWhereThereIsNoRoom(t *testing.T) {
	onExpress(t, func(f *fast) {
		f.resend(f.stamp(), "c", item(1, 0))
		before, stamp := f.dump(), f.next()
		f.full(true)
		if _, direct, err := f.send(f.q, stamp, made(2, 9, 0)); !direct || !errors.Is(err, broker.ErrFull) || broker.Unanswered(err) {
			t.Errorf("full: direct %v, %v", direct, err)
		}
		f.full(false)
		f.unchanged(before)
		f.direct(stamp, made(2, 9, 0))

		before, stamp = f.dump(), f.next()
		f.must(f.rdb.Do(f.ctx, "REPLICAOF", "127.0.0.1", "1").Err()) // where there is nobody
		if _, direct, err := f.send(f.q, stamp, made(12, 19, 0)); !direct || !conn.Retryable(err) || !strings.Contains(err.Error(), "READONLY") {
			t.Errorf("a replica: direct %v, %v", direct, err)
		}
		f.equal("to be left", f.x.Away(), true)
		f.must(f.rdb.Do(f.ctx, "REPLICAOF", "NO", "ONE").Err())
		f.unchanged(before)
	}, redistest.WithConfig("maxmemory-policy noeviction"))
}

// Who may not do what a direct call does has none, from the first on.
// A right that is taken away meanwhile ends direct calls on that connection, and the call goes another way.
// Where a late call cannot be kept from the keys any more, as a right to move them was taken away, nothing is lost, and nothing of it
// comes to light later.
// Replicas and the append-only file have of a refused call nothing, and of others all.
func TestDirectCallsElsewhere(t *testing.T) {
	redistest.EachReplicated(t, 1, func(t *testing.T, all []*redisserver.Server) {
		f := &fast{env: newEnv(t, redistest.Client(t, all[0]), "direct")}
		f.connect(f.to(all[0].Addr(), ""))
		f.resend(f.stamp(), "c", item(1, 0))
		stamp := f.next()
		f.direct(stamp, made(2, 9, 0))
		f.refused(stamp, made(2, 9, 0))
		f.direct(f.next(), made(12, 19, 0))
		f.refused(stamp, made(2, 9, 0))
		here := f.dump()
		same := func(what string, rdb *redis.Client) {
			t.Helper()
			other := newEnv(t, rdb, "direct")
			redistest.WaitFor(t, time.Minute, func() bool { return maps.Equal(other.dump(), here) }, what)
		}
		same("the replica to be the same", redistest.Client(t, all[1]))
		if err := all[0].Restart(f.ctx); err != nil {
			t.Fatal(err)
		}
		same("the file to have it all", redistest.Client(t, all[0]))
	}, redistest.WithAOF("always"))
}
