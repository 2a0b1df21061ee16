package matrix

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// calls counts the attempts of each job by its key. Safe for concurrent use.
type calls struct {
	mu sync.Mutex
	n  map[string]int
}

// count counts once more and answers what it was before.
func (c *calls) count(key string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = make(map[string]int)
	}
	c.n[key]++
	return c.n[key] - 1
}

type errand struct{}

func (errand) Kind() string { return "errand" }

// everyEnd serves errands that end in every way, by the first letter of their key: plainly, failing once, snoozing once,
// dead, with a result.
func everyEnd(c *calls) *worker.Mux {
	mux := worker.NewMux()
	worker.Handle(mux, func(_ context.Context, job *queue.Job[errand]) error {
		first := c.count(job.Key) == 0
		switch letter := job.Key[0]; {
		case !first && letter != 'r':
		case letter == 'f':
			return queue.RetryAfter(errors.New("once more"), 70*time.Millisecond)
		case letter == 's':
			return queue.Snooze(30 * time.Millisecond)
		case letter == 'd':
			return queue.Dead(errors.New("enough"))
		case letter == 'r':
			return job.SetResult([]byte(job.Key))
		}
		return nil
	})
	return mux
}

// produce enqueues errands of every end, singly and in batches, and answers their keys.
func produce(r *rig, c *queue.Client, singles, batch int) (keys []string) {
	r.Helper()
	item := func(i int) queue.Item {
		key := fmt.Sprintf("%c%d", "pfsdr"[i%5], i)
		keys = append(keys, key)
		options := []queue.Option{queue.ID(key), queue.Priority(i % 3)}
		if key[0] == 'r' {
			options = append(options, queue.Retain(time.Hour))
		}
		return queue.Item{Args: errand{}, Options: options}
	}
	for i := range singles {
		one := item(i)
		if _, err := c.Enqueue(r.ctx, one.Args, one.Options...); err != nil {
			r.Errorf("enqueue %s: %v", keys[i], err)
		}
	}
	items := make([]queue.Item, batch)
	for i := range items {
		items[i] = item(singles + i)
	}
	if _, err := c.EnqueueMany(r.ctx, items); err != nil {
		r.Errorf("batch: %v", err)
	}
	return keys
}

// wantEveryEnd holds what became of errands against what had to: none lost, stranded or run once more than it asks for.
func wantEveryEnd(r *rig, keys []string, c *calls) {
	r.Helper()
	r.drained()
	for _, key := range keys {
		want := 1
		if key[0] == 'f' || key[0] == 's' {
			want = 2
		}
		if got := c.count(key); got != want {
			r.Errorf("job %s ran %d times, want %d", key, got, want)
		}
		s, err := r.client.Get(r.ctx, queue.DefaultQueue, key)
		switch {
		case key[0] == 'd' && (err != nil || s.State != queue.DeadState || s.Attempts != 1):
			r.Errorf("job %s: %+v, %v", key, s, err)
		case key[0] == 'r' && (err != nil || s.State != queue.Succeeded || string(s.Result) != key):
			r.Errorf("job %s: %+v, %v", key, s, err)
		case key[0] != 'd' && key[0] != 'r' && !errors.Is(err, queue.ErrUnknownJob):
			r.Errorf("job %s is still there: %v", key, err)
		}
		if r.Failed() {
			return
		}
	}
	k := int64(len(keys) / 5)
	if n := r.counts(); n.Enqueued != 5*k || n.Succeeded != 4*k || n.Failed != 2*k || n.Dead != k || n.Finished != k || n.Recovered != 0 {
		r.Errorf("counts: %+v", n)
	}
	r.silent("session lost", "claim is gone")
}

// The replies of any command are lost, at random, each after the command was carried out: of workers, of a producer, of
// connections being made. While the sessions live no job is lost, stranded or doubled.
func TestReplyLost(t *testing.T) {
	r := onServer(t)
	p := redistest.NewProxy(t, r.srv.Addr())
	url := "redis://" + p.Addr()
	var c calls
	for n := range 2 {
		r.start(r.open(url), everyEnd(&c), worker.Config{Concurrency: 3 + 20*n})
	}
	producer := r.open(url)
	rnd := rand.New(rand.NewPCG(4, 1))
	p.DropReply(func(string, []string) bool { return rnd.IntN(100) < 12 })
	keys := produce(r, producer, 200, 1800)
	r.drained()
	p.DropReply(nil)
	t.Logf("%d replies were lost", p.Dropped())
	if p.Dropped() < 25 {
		t.Errorf("only %d replies were lost", p.Dropped())
	}
	wantEveryEnd(r, keys, &c)
}

// Calls of workers and of a producer are held up on their way, given up, sent again over other connections, and arrive
// after all, late and out of order, some when their jobs are long done; replies are lost beside.
func TestRequestLate(t *testing.T) {
	r := onServer(t)
	p := redistest.NewProxy(t, r.srv.Addr())
	url := "redis://" + p.Addr() + "?read_timeout=1s"
	var c calls
	for range 2 {
		r.start(r.open(url), everyEnd(&c), worker.Config{Concurrency: 10})
	}
	var held atomic.Int64
	rnd, scripts := rand.New(rand.NewPCG(5, 2)), redistest.On("EVALSHA", "EVAL")
	hold := func() func() {
		return p.HoldRequest(func(cmd string, args []string) bool {
			late := scripts(cmd, args) && rnd.IntN(100) < 6
			if late {
				held.Add(1)
			}
			return late
		})
	}
	dropping := rand.New(rand.NewPCG(6, 3))
	p.DropReply(func(cmd string, args []string) bool { return scripts(cmd, args) && dropping.IntN(100) < 4 })
	done := make(chan []string, 1)
	producer := r.open(url)
	go func() { done <- produce(r, producer, 60, 1440) }()
	var keys []string
	for n := 0; keys == nil || n < 6; n++ {
		release := hold()
		select {
		case keys = <-done:
		default:
		}
		r.pass(1300 * time.Millisecond)
		release()
	}
	p.DropReply(nil)
	r.drained()
	t.Logf("%d calls were late, %d replies lost", held.Load(), p.Dropped())
	if held.Load() < 8 || p.Dropped() < 5 {
		t.Errorf("only %d calls were late, %d replies lost", held.Load(), p.Dropped())
	}
	wantEveryEnd(r, keys, &c)
}
