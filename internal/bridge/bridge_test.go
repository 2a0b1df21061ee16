package bridge

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/pubsub"
	"github.com/tidemill/tidemill/queue"
)

// env is a server in memory, who publishes, and the jobs.
type env struct {
	*testing.T
	b        *redistest.Bubble
	rdb      *redis.Client
	jobs     *queue.Client
	messages *pubsub.Client
	logs     *logs
}

func inBubble(t *testing.T, run func(e *env)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &env{T: t, b: redistest.NewBubble(t), logs: &logs{}}
		t.Cleanup(func() { time.Sleep(3 * time.Second) }) // go-redis' pools look each second whether they were closed
		e.rdb = e.b.Client()
		e.jobs = e.client()
		var err error
		e.messages, err = pubsub.New(e.rdb)
		e.must(err)
		t.Cleanup(func() { _ = e.messages.Close() })
		run(e)
	})
}

func (e *env) must(err error) {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
}

func (e *env) client() *queue.Client {
	e.Helper()
	c, err := queue.New(e.b.Client(), queue.Config{Logger: zerolog.New(e.logs)})
	e.must(err)
	e.Cleanup(func() { _ = c.Close() })
	return c
}

// serve is a process with subscriptions, all of which are there.
func (e *env) serve(list ...Subscription) *Set {
	e.Helper()
	s := New(e.client(), zerolog.New(e.logs))
	e.Cleanup(s.Close)
	s.Serve(list)
	e.there(s)
	return s
}

func (e *env) there(s *Set) {
	e.Helper()
	for began := time.Now(); len(s.Faults()) > 0; time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			e.Fatalf("away: %q", s.Faults())
		}
	}
}

// jobsOf waits until a queue has n jobs, and answers them by kind and payload.
func (e *env) jobsOf(name string, n int) map[string]*queue.Snapshot {
	e.Helper()
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		synctest.Wait()
		found := make(map[string]*queue.Snapshot)
		total := 0
		for s, err := range e.jobs.List(context.Background(), name, queue.ListOptions{State: queue.Ready}) {
			e.must(err)
			found[s.Kind+" "+string(s.Payload)] = s
			total++
		}
		if total == n && time.Since(began) > 500*time.Millisecond { // and no more come
			return found
		}
		if time.Since(began) > 30*time.Second {
			e.Fatalf("%d jobs in %s, want %d: %v", total, name, n, found)
		}
	}
}

type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), text)
}

func publish[T any](e *env, name string, data T, options ...pubsub.PublishOption) {
	e.Helper()
	topic, err := pubsub.NewTopic[T](e.messages, name)
	e.must(err)
	_, err = topic.Publish(context.Background(), data, options...)
	e.must(err)
}

func sub(topic, kind string) Subscription {
	return Subscription{Topic: topic, Kind: kind, Queue: "default", Retain: -1}
}

// However many processes subscribe, a message makes one job of each kind, with what it carried.
func TestMessageMakesOneJob(t *testing.T) {
	inBubble(t, func(e *env) {
		for range 3 {
			e.serve(sub("orders", "ship"), sub("orders", "bill"), Subscription{Pattern: "price*", Kind: "note", Queue: "prices", Retain: -1})
		}
		publish(e, "orders", map[string]int{"n": 1}, pubsub.Meta("traceparent", "00-1"))
		publish(e, "prices.eur", 17)
		found := e.jobsOf("default", 2)
		for _, kind := range []string{"ship", "bill"} {
			s := found[kind+` {"n":1}`]
			if s == nil || s.Meta["topic"] != "orders" || s.Meta["traceparent"] != "00-1" || !strings.HasSuffix(s.Key, "/"+kind) || s.Retention != 5*time.Minute {
				t.Errorf("%s: %+v", kind, s)
			}
		}
		if s := e.jobsOf("prices", 1)["note 17"]; s == nil || s.Meta["topic"] != "prices.eur" {
			t.Errorf("%+v", s)
		}
	})
}

// A durable topic's messages become jobs also when they came before anybody was there, and each in one process of a group.
func TestDurableMessages(t *testing.T) {
	inBubble(t, func(e *env) {
		topic, err := pubsub.NewDurable[int](e.messages, "orders")
		e.must(err)
		for n := range 20 {
			_, err := topic.Publish(context.Background(), n)
			e.must(err)
		}
		e.must(e.rdb.XAdd(context.Background(), &redis.XAddArgs{Stream: "tm:topic:{orders}:stream", Values: []string{"m", "foreign"}}).Err())
		one := sub("orders", "ship")
		one.Group = "shipping"
		e.serve(one)
		e.serve(one)
		if found := e.jobsOf("default", 21); found["ship foreign"] == nil || !strings.HasPrefix(found["ship foreign"].Key, "orders@") {
			t.Errorf("%v", found)
		}
		info, err := e.messages.Streams().Info(context.Background(), "orders")
		e.must(err)
		if g := info.Groups; len(g) != 1 || g[0].Pending != 0 || g[0].Lag != 0 || g[0].Members != 2 {
			t.Errorf("%+v", g)
		}
	})
}

// Nothing is acknowledged that is no job yet: what a full Redis refuses becomes one as soon as there is room.
func TestAcknowledgedOnceEnqueued(t *testing.T) {
	inBubble(t, func(e *env) {
		topic, err := pubsub.NewDurable[int](e.messages, "orders")
		e.must(err)
		one := sub("orders", "ship")
		one.Group = "shipping"
		s := e.serve(one)
		release := e.b.HoldRequest(func(cmd string, args []string) bool {
			return strings.HasPrefix(cmd, "EVAL") && strings.Contains(strings.Join(args, " "), "ship")
		})
		_, err = topic.Publish(context.Background(), 1)
		e.must(err)
		time.Sleep(time.Second)
		s.Close() // before the job is there: the message goes to the next member
		release()
		e.serve(one)
		e.jobsOf("default", 1)
		info, err := e.messages.Streams().Info(context.Background(), "orders")
		e.must(err)
		if g := info.Groups; len(g) != 1 || g[0].Pending != 0 || g[0].Dead != 0 {
			t.Errorf("%+v", g)
		}
	})
}

// A lost connection is told as a fault while it lasts, and as a gap of live messages after.
func TestGapIsTold(t *testing.T) {
	inBubble(t, func(e *env) {
		s := e.serve(sub("orders", "ship"))
		e.b.Refuse(true)
		e.b.Cut()
		time.Sleep(100 * time.Millisecond)
		if faults := s.Faults(); len(faults) != 1 || faults[0] != "subscription orders to ship in default: its connection is lost" {
			t.Errorf("%q", faults)
		}
		e.b.Refuse(false)
		e.there(s)
		publish(e, "orders", 1)
		e.jobsOf("default", 1)
		if !e.logs.has("messages may have been missed: no jobs were made of them") {
			t.Error("the gap is not told")
		}
	})
}

// A subscription that is not there tries again, and says why it is away.
func TestAwaySaysWhy(t *testing.T) {
	inBubble(t, func(e *env) {
		e.rdb.Set(context.Background(), "tm:topic:{orders}:stream", "no stream", 0)
		one := sub("orders", "ship")
		one.Group = "shipping"
		s := New(e.client(), zerolog.New(e.logs))
		e.Cleanup(s.Close)
		s.Serve([]Subscription{one})
		time.Sleep(time.Second)
		if faults := s.Faults(); len(faults) != 1 || !strings.HasPrefix(faults[0], "subscription orders (group shipping) to ship in default: ") ||
			!strings.Contains(faults[0], "stream") || !e.logs.has("the subscription is away; trying again") {
			t.Errorf("%q", faults)
		}
		e.rdb.Del(context.Background(), "tm:topic:{orders}:stream")
		e.there(s)
	})
}

// Serve ends what is gone, begins what is new, and lets the rest be.
func TestServeAnew(t *testing.T) {
	inBubble(t, func(e *env) {
		s := e.serve(sub("a", "ka"), sub("b", "kb"))
		received := func() int64 { return e.rdb.PubSubNumSub(context.Background(), "a").Val()["a"] }
		if received() != 1 {
			t.Errorf("%d subscribed to a", received())
		}
		s.Serve([]Subscription{sub("b", "kb"), sub("c", "kc")})
		e.there(s)
		for _, name := range []string{"a", "b", "c"} {
			publish(e, name, 1)
		}
		found := e.jobsOf("default", 2)
		if found["kb 1"] == nil || found["kc 1"] == nil || received() != 0 {
			t.Errorf("%v, %d", found, received())
		}
		s.Stop()
		publish(e, "b", 2)
		e.jobsOf("default", 2)
	})
}

// Hundreds of messages in a burst become as many jobs, in less round trips than one each.
func TestBurst(t *testing.T) {
	inBubble(t, func(e *env) {
		e.serve(sub("orders", "ship"))
		topic, err := pubsub.NewTopic[string](e.messages, "orders")
		e.must(err)
		data := make([]string, 500)
		for i := range data {
			data[i] = fmt.Sprint(i)
		}
		calls := 0
		e.b.Delay(func(cmd string, _ []string) time.Duration {
			if strings.HasPrefix(cmd, "EVAL") {
				calls++
			}
			return 0
		})
		_, err = topic.PublishMany(context.Background(), data)
		e.must(err)
		time.Sleep(time.Second)
		e.b.Delay(nil)
		n, err := e.jobs.Counts(context.Background(), "default")
		e.must(err)
		if n.Ready != 500 || calls > 250 {
			t.Errorf("%d jobs by %d calls", n.Ready, calls)
		}
	})
}
