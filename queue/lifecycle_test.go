package queue_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/internal/wire"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// lives notes the events that are published.
type lives struct {
	mu     sync.Mutex
	events []queue.Event
}

func (l *lives) watch(t *testing.T, b *redistest.Bubble) {
	b.DropReplies(func(cmd string, args []string) bool {
		if cmd == "PUBLISH" && strings.HasPrefix(args[0], "jobs.") {
			var event queue.Event
			if err := json.Unmarshal(wire.DecodeMessage([]byte(args[1])).Data, &event); err != nil || args[0] != queue.EventTopic(event.Queue) {
				t.Errorf("published: %q, %v", args, err)
			}
			l.mu.Lock()
			l.events = append(l.events, event)
			l.mu.Unlock()
		}
		return false
	})
}

func (l *lives) all() []queue.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.events)
}

// names is all events so far, "created a" with the caller's ids, once nothing more comes.
func (l *lives) names() string {
	synctest.Wait()
	var words []string
	for _, e := range l.all() {
		words = append(words, string(e.Event)+" "+e.Key)
	}
	return strings.Join(words, ", ")
}

func telling(t *testing.T, b *redistest.Bubble, queues ...string) *queue.Client {
	t.Helper()
	c, err := queue.New(b.Client(), queue.Config{Lifecycle: queues})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// However a job is enqueued, that it was created is told once it was; of duplicates nothing is.
func TestCreatedIsTold(t *testing.T) {
	for name, enqueue := range map[string]func(ctx context.Context, c *queue.Client, id string) error{
		"Enqueue": func(ctx context.Context, c *queue.Client, id string) error {
			_, err := c.Enqueue(ctx, kind("mail"), queue.ID(id))
			return err
		},
		"EnqueueMany": func(ctx context.Context, c *queue.Client, id string) error {
			_, err := c.EnqueueMany(ctx, []queue.Item{{Args: kind("mail"), Options: []queue.Option{queue.ID(id)}}})
			return err
		},
		"Input": func(ctx context.Context, c *queue.Client, id string) error {
			in, err := c.Input(uuid.New(), 1, nil)
			if err != nil {
				return err
			}
			_, err = in.EnqueueMany(ctx, []uint64{1}, []queue.Item{{Args: kind("mail"), Options: []queue.Option{queue.ID(id)}}})
			return err
		},
		"EnqueueTx": func(ctx context.Context, c *queue.Client, id string) error {
			pipe := c.Redis().TxPipeline()
			p, err := c.EnqueueTx(ctx, pipe, kind("mail"), queue.ID(id))
			if err != nil {
				return err
			}
			if _, err := pipe.Exec(ctx); err != nil {
				return err
			}
			return errors.Join(p.Result(), p.Result())
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubbleOf(t, func(t *testing.T, b *redistest.Bubble, _, _ *queue.Client) {
				var told lives
				told.watch(t, b)
				c := telling(t, b, "default")
				if err := enqueue(t.Context(), c, "a"); err != nil {
					t.Fatal(err)
				}
				if err := enqueue(t.Context(), c, "a"); !errors.Is(err, queue.ErrDuplicate) {
					t.Errorf("again: %v", err)
				}
				if got := told.names(); got != "created a" {
					t.Fatalf("told: %s", got)
				}
				if e := told.all()[0]; e.Kind != "mail" || e.ID == uuid.Nil || e.Namespace != "tm" || time.Since(e.Time) > time.Second || e.Attempt != 0 {
					t.Errorf("%+v", e)
				}
			})
		})
	}
}

// Queues that are not named are not told of; "*" is all. What is due later says so.
func TestLifecycleByQueue(t *testing.T) {
	bubbleOf(t, func(t *testing.T, b *redistest.Bubble, plain, _ *queue.Client) {
		var told lives
		told.watch(t, b)
		some, all := telling(t, b, "mails"), telling(t, b, "*")
		for i, c := range []*queue.Client{plain, some, all} {
			for _, name := range []string{"default", "mails"} {
				enqueue(t, c, kind("mail"), queue.Queue(name), queue.ID(fmt.Sprint(i)), queue.In(time.Hour))
				synctest.Wait()
			}
		}
		if got := told.names(); got != "created 1, created 2, created 2" {
			t.Errorf("told: %s", got)
		}
		for _, e := range told.all() {
			if e.Due.Sub(e.Time) != time.Hour {
				t.Errorf("due %v at %v", e.Due, e.Time)
			}
		}
		if sent, dropped := all.EventCounts(); sent != 2 || dropped != 0 {
			t.Errorf("%d sent, %d dropped", sent, dropped)
		}
	})
}

// What operators end and make ready again is told by the client that did.
func TestOperatorsAreTold(t *testing.T) {
	bubbleOf(t, func(t *testing.T, b *redistest.Bubble, c, workers *queue.Client) {
		for _, id := range []string{"a", "b", "c"} {
			enqueue(t, c, kind("bad"), queue.ID(id))
		}
		stop := work(t, workers, endingMux(0), worker.Config{})
		for _, id := range []string{"a", "b", "c"} {
			if _, err := c.Wait(t.Context(), "default", id); err != nil {
				t.Fatal(err)
			}
		}
		stop()
		var told lives
		told.watch(t, b)
		operator := telling(t, b, "default")
		if err := operator.Redrive(t.Context(), "default", "a"); err != nil {
			t.Fatal(err)
		}
		if _, err := operator.RedriveMany(t.Context(), "default", queue.Bulk{}); err != nil {
			t.Fatal(err)
		}
		if _, err := operator.Cancel(t.Context(), "default", "b"); err != nil {
			t.Fatal(err)
		}
		if _, err := operator.Cancel(t.Context(), "default", "b"); err == nil {
			t.Error("cancelled twice")
		}
		if _, err := operator.CancelMany(t.Context(), "default", queue.Bulk{}); err != nil {
			t.Fatal(err)
		}
		got := told.names()
		if rest, ok := strings.CutPrefix(got, "redriven a, "); !ok || !strings.HasPrefix(strings.TrimPrefix(strings.TrimPrefix(rest, "redriven b, redriven c"),
			"redriven c, redriven b"), ", cancelled b, cancelled ") || len(told.all()) != 6 {
			t.Errorf("told: %s", got)
		}
		for _, e := range told.all() {
			if e.Kind != "bad" || e.ID == uuid.Nil {
				t.Errorf("%+v", e)
			}
		}
	})
}

// Whoever enqueues and closes at once has told all the same.
func TestCloseTellsTheLast(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	listener := redis.NewClient(&redis.Options{Addr: srv.Addr()})
	t.Cleanup(func() { _ = listener.Close() })
	sub := listener.Subscribe(t.Context(), queue.EventTopic("default"))
	t.Cleanup(func() { _ = sub.Close() })
	if _, err := sub.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := open(t, srv.URL(), queue.Config{Lifecycle: []string{"*"}})
	items := make([]queue.Item, 3000)
	for i := range items {
		items[i] = queue.Item{Args: kind("mail")}
	}
	results, err := c.EnqueueMany(t.Context(), items)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	for _, r := range results {
		m, err := sub.ReceiveMessage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var e queue.Event
		if err := json.Unmarshal(wire.DecodeMessage([]byte(m.Payload)).Data, &e); err != nil || e.ID != r.ID || e.Event != queue.EventCreated ||
			e.Time.Nanosecond()%1000 != 0 {
			t.Fatalf("%+v, %v; want created of %v, to the µs", e, err, r.ID)
		}
	}
}

func TestLifecycleIsChecked(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{})
	defer rdb.Close()
	for _, name := range []string{"", "a b", "**", "mails*"} {
		_, err := queue.New(rdb, queue.Config{Lifecycle: []string{"default", name}})
		if !errors.Is(err, queue.ErrInvalid) || !strings.Contains(fmt.Sprint(err), "Lifecycle") {
			t.Errorf("%q: %v", name, err)
		}
	}
}
