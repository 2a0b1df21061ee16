package doctor_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/conn"
	"github.com/tidemill/tidemill/internal/doctor"
	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// soon is what a loaded machine gets for things that take ms.
const soon = time.Minute

// ward is a namespace with a queue that falls ill.
type ward struct {
	sessions bool // some were registered
	*testing.T
	ctx    context.Context
	set    *conn.Set
	rdb    redis.UniversalClient
	client *queue.Client
	space  keys.Space
	q      *keys.Queue
	gather int // ids that the doctor looks for in lists at a time; 0 = as many as it does by itself
}

func newWard(t *testing.T, url, namespace string) *ward {
	t.Helper()
	w := &ward{T: t, ctx: context.Background()}
	var err error
	w.set, err = conn.Open(w.ctx, url, conn.Config{})
	w.must(err)
	t.Cleanup(func() { _ = w.set.Close() })
	w.rdb = w.set.Shared()
	w.client, err = queue.Open(w.ctx, url, queue.Config{Namespace: namespace})
	w.must(err)
	t.Cleanup(func() { _ = w.client.Close() })
	w.space, err = keys.NewSpace(namespace)
	w.must(err)
	w.q, err = w.space.Queue("q")
	w.must(err)
	w.must(w.client.SetSessionTTL(w.ctx, 2*time.Second))
	return w
}

func (w *ward) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// id is the n-th id of a ward.
func id(n int) uuid.UUID { return uuid.UUID{0: 0x77, 14: byte(n >> 8), 15: byte(n)} }

func sid(n int) string {
	raw := id(n)
	return string(raw[:])
}

// add enqueues a job of the queue.
func (w *ward) add(n int, options ...queue.Option) {
	w.Helper()
	options = append([]queue.Option{queue.Queue("q"), queue.ID(id(n).String())}, options...)
	_, err := w.client.Enqueue(w.ctx, queue.Raw{Name: "k", Payload: []byte(`{}`)}, options...)
	w.must(err)
}

// healthy gives the queue jobs in every state, moved ones and cancelled ones. Those that are to run are 1 to 12.
func (w *ward) healthy() {
	w.Helper()
	for n := 1; n <= 8; n++ {
		w.add(n, queue.Priority(n%3))
	}
	for n := 9; n <= 12; n++ {
		w.add(n, queue.In(time.Hour))
	}
	w.add(20)
	w.add(21, queue.Retain(time.Hour))
	w.add(22)
	for _, n := range []int{20, 21} { // tombstone, and a finished one with a stale entry
		_, err := w.client.Cancel(w.ctx, "q", id(n).String())
		w.must(err)
	}
	w.must(w.client.Delete(w.ctx, "q", id(22).String()))
	for _, n := range []int{7, 8} { // moved: stale entries of jobs that are there
		priority := 9 - n
		w.must(w.client.Edit(w.ctx, "q", id(n).String(), queue.Edit{Priority: &priority}))
	}
}

func (w *ward) doctor() *doctor.Doctor {
	d := doctor.New(w.set, w.space, doctor.Options{})
	if w.gather > 0 {
		d.Gather(w.gather)
	}
	return d
}

func (w *ward) examine() *doctor.Report {
	w.Helper()
	r, err := w.doctor().Examine(w.ctx)
	w.must(err)
	return r
}

// ill answers how many of each defect of structures there are.
func ill(r *doctor.Report) map[string]int64 {
	out := make(map[string]int64)
	for _, f := range r.Findings {
		if f.Server == "" && f.Level != doctor.OK && f.Check != "big-keys" {
			out[f.Check] = f.Count
		}
	}
	return out
}

func (w *ward) finds(want map[string]int64) *doctor.Report {
	w.Helper()
	r := w.examine()
	got := ill(r)
	if _, wanted := want["waiting-for-a-worker"]; w.sessions && !wanted {
		delete(got, "waiting-for-a-worker") // they live for 2 s, which a slow machine may have let pass
	}
	if !maps.Equal(got, want) {
		w.Errorf("found %v, want %v", got, want)
		for _, f := range r.Findings {
			w.Logf("%+v", f)
		}
		w.FailNow()
	}
	return r
}

// mends repairs what a report found, and holds how much was done against it.
func (w *ward) mends(r *doctor.Report) {
	w.Helper()
	done, err := w.doctor().Repair(w.ctx, r)
	w.must(err)
	for _, one := range done {
		if one.Mended == 0 || one.Left != 0 {
			w.Errorf("%s: %d mended, %d left", one.Check, one.Mended, one.Left)
		}
	}
}

// ran are the jobs that handlers were called for, and how often.
type ran struct {
	mu sync.Mutex
	of map[uuid.UUID]int
}

func (r *ran) note(id uuid.UUID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.of[id]++
}

func (r *ran) all() map[uuid.UUID]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.of)
}

// works runs a worker until it has done what is ready and what was lost, and holds the jobs that ran, each once, against want.
func (w *ward) works(want ...int) {
	w.Helper()
	ctx, cancel := context.WithCancel(w.ctx)
	did := &ran{of: make(map[uuid.UUID]int)}
	mux := worker.NewMux()
	mux.HandleKind("k", func(_ context.Context, job *queue.Job[queue.Raw]) error {
		did.note(job.ID)
		return nil
	})
	wk, err := worker.New(w.client, mux, worker.Config{Queues: []worker.Queue{{Name: "q"}}, Concurrency: 4})
	w.must(err)
	ended := make(chan error, 1)
	go func() { ended <- wk.Run(ctx) }()
	redistest.WaitFor(w.T, soon, func() bool {
		n, err := w.client.Counts(w.ctx, "q")
		w.must(err)
		return n.Ready == 0 && n.Running == 0 && len(did.all()) >= len(want)
	}, fmt.Sprintf("jobs to run: %v", want))
	cancel()
	w.must(<-ended)
	got := did.all()
	for _, n := range want {
		if got[id(n)] != 1 {
			w.Errorf("job %d ran %d times", n, got[id(n)])
		}
		delete(got, id(n))
	}
	if len(got) > 0 {
		w.Errorf("ran too: %v", slices.Collect(maps.Keys(got)))
	}
}
