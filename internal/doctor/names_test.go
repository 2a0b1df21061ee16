package doctor_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/pubsub"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// house is a namespace in which everything is at work.
type house struct {
	*ward
	release chan struct{} // ends the handlers that hold their job
	topic   *pubsub.Durable[string]
	ended   chan error
}

// writings are what writes keys, with the keys that are there once it did ("*" = any text).
var writings = []struct {
	name string
	do   func(h *house)
	keys string
}{
	{"a setting", func(h *house) { h.must(h.client.SetSessionTTL(h.ctx, 2*time.Second)) }, "tm:settings"},
	{"jobs", func(h *house) { h.healthy() }, "tm:queues tm:{q}:jobs tm:{q}:ready:0 tm:{q}:ready:2 tm:{q}:scheduled tm:{q}:due tm:{q}:finished " +
		"tm:{q}:wake tm:{q}:meta tm:{q}:state tm:{q}:producers"},
	{"a worker", (*house).staff, "tm:workers tm:{q}:sessions tm:{q}:running:* tm:{q}:lanes:* tm:{q}:dead tm:{q}:results"},
	{"an order to a worker", func(h *house) { h.must(h.client.SetWorkerLogLevel(h.ctx, "", "warn")) }, "tm:orders"},
	{"the cancelling of a job that runs", func(h *house) {
		_, err := h.client.Cancel(h.ctx, "q", id(50).String())
		h.must(err)
	}, "tm:{q}:cancels"},
	{"a crash", (*house).suspects, "tm:{q}:suspect"},
	{"a waiter's end", func(h *house) { h.must(broker.New(h.rdb, h.space).Poke(h.ctx, h.q, "i")) }, "tm:{q}:poke:i"},
	{"messages", func(h *house) {
		_, err := h.topic.PublishMany(h.ctx, []string{"give up", "hold"})
		h.must(err)
	}, "tm:topics tm:topic:{t}:stream tm:topic:{t}:about"},
	{"consumers", (*house).consume, "tm:topic:{t}:members:g tm:topic:{t}:given-up:g tm:topic:{t}:crashed:g"},
}

// TestOwnKeys: no key that Tidemill writes is taken for another's, for one of another type, or for a leftover.
func TestOwnKeys(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	h := &house{ward: newWard(t, srv.URL(), "tm"), release: make(chan struct{}), ended: make(chan error, 1)}
	messages, err := pubsub.New(h.rdb)
	h.must(err)
	t.Cleanup(func() { _ = messages.Close() })
	h.topic, err = pubsub.NewDurable[string](messages, "t", pubsub.KeepCount(10))
	h.must(err)
	rows := keyTables(t)
	for _, w := range writings {
		w.do(h)
		for _, want := range strings.Fields(w.keys) {
			redistest.WaitFor(t, soon, func() bool {
				found, err := h.rdb.Keys(h.ctx, want).Result()
				h.must(err)
				return len(found) > 0
			}, fmt.Sprintf("%s to leave %s", w.name, want))
			for row := range rows {
				if rows[row].MatchString(want) {
					delete(rows, row)
				}
			}
		}
		if found := ill(h.examine()); len(found) > 0 {
			t.Errorf("%s: found %v", w.name, found)
		}
	}
	for row := range rows {
		t.Errorf("%s was not written", row)
	}
	close(h.release)
	h.must(h.client.StopWorker(h.ctx, ""))
	h.must(<-h.ended)
}

// keyTables are the keys that the packages with scripts say they have.
func keyTables(t *testing.T) map[string]*regexp.Regexp {
	t.Helper()
	rows := make(map[string]*regexp.Regexp)
	for _, file := range []string{"../broker/doc.go", "../bus/doc.go"} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^//\t(tm:\S+)\s+[A-Z]+\s`).FindAllStringSubmatch(string(source), -1) {
			rows[m[1]] = regexp.MustCompile("^" + regexp.MustCompile(`<.*?>`).ReplaceAllString(regexp.QuoteMeta(m[1]), ".+") + "$")
		}
	}
	if len(rows) < 25 {
		t.Fatalf("the tables have %d rows", len(rows))
	}
	return rows
}

// staff starts a worker whose jobs end in every way, and whose only slot the last one holds.
func (h *house) staff() {
	mux := worker.NewMux()
	mux.HandleKind("k", func(_ context.Context, job *queue.Job[queue.Raw]) error {
		switch job.ID {
		case id(50):
			<-h.release // also when it is cancelled
		case id(51):
			return queue.Dead(errors.New("no use"))
		case id(52):
			return errors.New("no luck")
		case id(53):
			return job.SetResult([]byte("{}"))
		}
		return nil
	}, worker.Retry(worker.Backoff{Base: time.Hour, Cap: time.Hour, Factor: 1}))
	for n := 53; n >= 50; n-- {
		h.add(n, queue.Retain(time.Hour))
	}
	wk, err := worker.New(h.client, mux, worker.Config{Queues: []worker.Queue{{Name: "q"}}, Concurrency: 1, CrashLimit: 2})
	h.must(err)
	go func() { h.ended <- wk.Run(context.Background()) }()
}

// suspects loses a job with its process, which the only slot being taken, nobody starts.
func (h *house) suspects() {
	h.add(60)
	h.crash(h.ctx)
}

// consume has a group give up a message, and a member die over another, which its heir holds.
func (h *house) consume() {
	next := func(m *pubsub.Member[string], want string) *pubsub.Message[string] {
		h.Helper()
		msg, err := m.Next(h.ctx)
		h.must(err)
		if msg.Data != want {
			h.Fatalf("got %q, want %q", msg.Data, want)
		}
		return msg
	}
	dying := h.member()
	h.must(next(dying, "give up").Nack(h.ctx, errors.New("no use")))
	next(dying, "hold")
	redistest.WaitFor(h.T, soon, func() bool { return h.rdb.XLen(h.ctx, "tm:topic:{t}:given-up:g").Val() == 1 }, "the first message to be given up")
	members := "tm:topic:{t}:members:g"
	sessions, err := h.rdb.ZRange(h.ctx, members, 0, -1).Result()
	h.must(err)
	for _, session := range sessions {
		h.must(h.rdb.ZAdd(h.ctx, members, redis.Z{Member: session, Score: -1}).Err()) // is held for dead
	}
	next(h.member(), "hold")
}

func (h *house) member() *pubsub.Member[string] {
	m, err := h.topic.Subscribe(h.ctx, "g", pubsub.MaxAttempts(1), pubsub.Batch(1))
	h.must(err)
	h.Cleanup(m.Close)
	return m
}

// TestNeighbours: namespaces whose names begin or go on alike, each with jobs, a durable topic and keys put aside, are each
// judged alone.
func TestNeighbours(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	var all []*ward
	for _, name := range []string{"tm", "tm2", "tm:x", "tm:topic", "tm:topic:topic", "tm:aside", "tm:queues", "t"} {
		w := newWard(t, srv.URL(), name)
		w.healthy()
		messages, err := pubsub.New(w.rdb, pubsub.Config{Namespace: name})
		w.must(err)
		t.Cleanup(func() { _ = messages.Close() })
		for _, name := range []string{"q", "t\u00f6pic"} {
			topic, err := pubsub.NewDurable[string](messages, name)
			w.must(err)
			_, err = topic.Publish(w.ctx, "m")
			w.must(err)
			w.must(w.rdb.Set(w.ctx, w.space.Aside(w.space.Name()+":topic:{"+name+"}:members:g", "1"), "x", 0).Err())
		}
		for _, key := range []string{w.space.Queues(), w.key(keys.Jobs)} {
			w.must(w.rdb.Set(w.ctx, w.space.Aside(key, "1"), "x", 0).Err())
		}
		all = append(all, w)
	}
	for _, w := range all {
		w.finds(map[string]int64{"key-put-aside": 4})
	}
	for _, w := range all {
		w.set1(w.space.Name()+":mine", "f", "1")
		w.must(w.rdb.Set(w.ctx, w.space.Workers(), "x", 0).Err())
		w.must(w.rdb.Set(w.ctx, w.space.Name()+":topic:{x}:about", "x", 0).Err())
		w.set1(w.q.Lanes("gone"), "0", "1 OK")
	}
	for _, w := range all {
		w.finds(map[string]int64{"key-put-aside": 4, "unknown-key": 1, "key-of-another-type": 2, "lanes-without-session": 1, "workers": 0})
	}
}
