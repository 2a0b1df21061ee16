package execjob

import (
	"context"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// BenchmarkAgainstPlain runs /bin/true 16 at a time in three ways, by turns: from Go with os/exec alone, by the handler, and
// as jobs through a Redis on this machine. One b.N is a round of 1,000 each; what it reports are the medians of the rounds
// and of their ratios.
func BenchmarkAgainstPlain(b *testing.B) {
	r := newRig(b)
	a := r.shell("")
	a.cfg = Config{Command: []string{"/bin/true"}}
	h := a.handler()
	through := throughRedis(b, h)
	rate := func(run func()) float64 {
		start := time.Now()
		run()
		return 1000 / time.Since(start).Seconds()
	}
	var plain, handler, queued, ratioH, ratioQ []float64
	for b.Loop() {
		p := rate(func() { sixteen(func() error { return exec.Command("/bin/true").Run() }, b) })
		h := rate(func() { sixteen(func() error { c := *a; return c.by(h) }, b) })
		q := rate(through)
		plain, handler, queued = append(plain, p), append(handler, h), append(queued, q)
		ratioH, ratioQ = append(ratioH, h/p), append(ratioQ, q/p)
	}
	for unit, values := range map[string][]float64{
		"plain/s": plain, "handler/s": handler, "jobs/s": queued, "handler/plain": ratioH, "jobs/plain": ratioQ,
	} {
		slices.Sort(values)
		b.ReportMetric(values[len(values)/2], unit)
	}
}

// sixteen calls run 1,000 times, 16 at a time.
func sixteen(run func() error, b *testing.B) {
	next := make(chan struct{})
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range next {
				if err := run(); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for range 1000 {
		next <- struct{}{}
	}
	close(next)
	all.Wait()
}

// throughRedis is a function that enqueues 1,000 jobs and returns when they are done.
func throughRedis(b *testing.B, h worker.Handler) func() {
	b.Helper()
	ctx := b.Context()
	client, err := queue.Open(ctx, redistest.Server(b).URL())
	if err != nil {
		b.Fatal(err)
	}
	mux := worker.NewMux()
	mux.HandleKind("job", h, worker.RetainResult(time.Hour))
	log := zerolog.Nop()
	w, err := worker.New(client, mux, worker.Config{Concurrency: 16, Logger: &log})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	b.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			b.Error(err)
		}
		_ = client.Close()
	})
	want := int64(0)
	return func() {
		items := make([]queue.Item, 1000)
		for i := range items {
			items[i].Args = queue.Raw{Name: "job", Payload: []byte("{}")}
		}
		if _, err := client.EnqueueMany(ctx, items); err != nil {
			b.Fatal(err)
		}
		want += 1000
		redistest.WaitFor(b, time.Minute, func() bool {
			n, err := client.Counts(ctx, queue.DefaultQueue)
			return err == nil && n.Succeeded >= want
		}, "1,000 jobs")
	}
}
