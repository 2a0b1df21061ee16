package worker

import (
	"context"
	"testing"
	"time"

	"github.com/tidemill/tidemill/queue"
)

// taken serves "job" and notes whose turn it was; each takes 1 ms.
func taken(order *list[queue.Info]) *Mux {
	mux := NewMux()
	mux.HandleKind("job", func(_ context.Context, job *queue.Job[queue.Raw]) error {
		order.add(job.Info)
		time.Sleep(time.Millisecond)
		return nil
	})
	return mux
}

func (e *env) addMany(n int, options ...queue.Option) {
	e.Helper()
	_, err := e.client.EnqueueMany(e.ctx, queue.Items(make([]plain, n), options...))
	e.must(err)
}

// plain is a "job" of no args.
type plain struct{}

func (plain) Kind() string { return "job" }

func TestPrioritiesComeInOrder(t *testing.T) {
	inBubble(t, func(e *env) {
		for _, p := range []int{0, 9, 4, 1, 7} {
			e.addMany(10, queue.Priority(p))
		}
		var order list[queue.Info]
		e.start(taken(&order), Config{Concurrency: 1})
		e.drained(10 * time.Second)
		for i, info := range order.all() {
			if want := []int{9, 7, 4, 1, 0}[i/10]; info.Priority != want {
				t.Fatalf("place %d has priority %d, want %d", i, info.Priority, want)
			}
		}
	})
}

func TestWeightsShareTheWorker(t *testing.T) {
	for name, concurrency := range map[string]int{"one slot": 1, "five slots": 5, "forty slots": 40} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(e *env) {
				weights := map[string]int{"a": 6, "b": 3, "c": 1}
				var queues []Queue
				for _, name := range []string{"a", "b", "c"} {
					queues = append(queues, Queue{Name: name, Weight: weights[name]})
					e.addMany(400, queue.Queue(name))
				}
				var order list[queue.Info]
				p := e.start(taken(&order), Config{Queues: queues, Concurrency: concurrency})
				e.wait(time.Minute, "six hundred", func() bool { return order.len() >= 600 })
				p.stopClean()
				got := make(map[string]int)
				for _, info := range order.all()[:600] {
					got[info.Queue]++
				}
				for name, weight := range weights {
					if share := got[name]; share < weight*54-15 || share > weight*66+15 {
						t.Errorf("queue %s with weight %d got %d of 600", name, weight, share)
					}
				}
			})
		})
	}
}

// A queue that has nothing leaves its share to the others.
func TestIdleQueueCostsNothing(t *testing.T) {
	inBubble(t, func(e *env) {
		e.addMany(100, queue.Queue("small"))
		var order list[queue.Info]
		e.start(taken(&order), Config{Queues: []Queue{{Name: "big", Weight: 100}, {Name: "small"}}, Concurrency: 10})
		began := time.Now()
		e.wait(time.Second, "all", func() bool { return order.len() == 100 })
		if took := time.Since(began); took > 50*time.Millisecond {
			t.Errorf("100 jobs of 1 ms in 10 slots took %v", took)
		}
	})
}

func TestStrictOrder(t *testing.T) {
	inBubble(t, func(e *env) {
		e.addMany(50, queue.Queue("second"))
		e.addMany(50, queue.Queue("first"))
		var order list[queue.Info]
		e.start(taken(&order), Config{Queues: []Queue{{Name: "first"}, {Name: "second"}}, Concurrency: 1, Strict: true})
		e.wait(time.Minute, "all", func() bool { return order.len() == 100 })
		for i, info := range order.all() {
			if (info.Queue == "first") != (i < 50) {
				t.Fatalf("place %d went to queue %s", i, info.Queue)
			}
		}
	})
}

func TestConcurrencyOfOneQueue(t *testing.T) {
	inBubble(t, func(e *env) {
		gauges := map[string]*gauge{"slow": {}, "free": {}}
		mux := NewMux()
		mux.HandleKind("job", func(_ context.Context, job *queue.Job[queue.Raw]) error {
			defer gauges[job.Queue].enter()()
			time.Sleep(100 * time.Millisecond)
			return nil
		})
		e.addMany(30, queue.Queue("slow"))
		e.addMany(30, queue.Queue("free"))
		e.start(mux, Config{Queues: []Queue{{Name: "slow", Concurrency: 2}, {Name: "free"}}, Concurrency: 8})
		time.Sleep(1700 * time.Millisecond) // 15 rounds of 2 for the one; the other needs 5 of at least 6
		for _, name := range []string{"slow", "free"} {
			if n, err := e.client.Counts(e.ctx, name); err != nil || n.Succeeded != 30 {
				t.Errorf("queue %s: %+v, %v", name, n, err)
			}
		}
		_, slow := gauges["slow"].read()
		if _, free := gauges["free"].read(); slow != 2 || free < 6 || free > 8 {
			t.Errorf("at once: %d and %d", slow, free)
		}
	})
}

// Suspects are tried one at a time, of each queue in turn: none waits until another has no more.
func TestSuspectsOfEachQueueInTurn(t *testing.T) {
	inBubble(t, func(e *env) {
		queues := []Queue{{Name: "a", Weight: 6}, {Name: "b", Weight: 3}, {Name: "c"}}
		var causes list[error]
		before := newRig(blocked(&causes))
		lost := e.start(before.Mux, Config{Queues: queues, Concurrency: 60})
		for _, q := range queues {
			e.addMany(20, queue.Queue(q.Name))
		}
		e.wait(time.Second, "the handlers", func() bool { return before.n() == 60 })
		lost.gate.close()
		var order list[queue.Info]
		e.start(taken(&order), Config{Queues: queues, CrashLimit: 2})
		e.wait(20*time.Second, "half of the suspects", func() bool { return order.len() >= 30 })
		got := make(map[string]int)
		for _, info := range order.all()[:30] {
			got[info.Queue]++
		}
		for _, q := range queues {
			if got[q.Name] < 7 {
				t.Errorf("of the first 30 suspects %d are of queue %s", got[q.Name], q.Name)
			}
		}
		e.wait(10*time.Second, "all", func() bool { return order.len() == 60 })
	})
}
