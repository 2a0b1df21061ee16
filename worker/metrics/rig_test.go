package metrics_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
	"github.com/tidemill/tidemill/worker/metrics"
)

// rig is a worker in a bubble of fake time, with its metrics.
type rig struct {
	*testing.T
	b        *redistest.Bubble
	client   *queue.Client
	worker   *worker.Worker
	registry *prometheus.Registry
}

// inBubble runs a test with a worker of the queues default and other that runs: ok, retry (once), dead, snooze (once)
// and any.*.
func inBubble(t *testing.T, config metrics.Config, run func(r *rig)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{T: t, b: redistest.NewBubble(t), registry: prometheus.NewPedanticRegistry()}
		t.Cleanup(func() { time.Sleep(3 * time.Second) }) // go-redis's own goroutines
		var err error
		r.client, err = queue.New(r.b.Client())
		r.must(err)
		t.Cleanup(func() { _ = r.client.Close() })
		r.worker, err = worker.New(r.client, mux(), worker.Config{Concurrency: 5, Queues: []worker.Queue{{Name: "default"}, {Name: "other"}}})
		r.must(err)
		collector, err := metrics.New(r.client, r.worker, config)
		r.must(err)
		r.must(r.registry.Register(collector))
		run(r)
	})
}

func mux() *worker.Mux {
	m := worker.NewMux()
	for kind, first := range map[string]error{"ok": nil, "any.*": nil, "retry": queue.RetryAfter(errors.New("no"), time.Second),
		"dead": queue.Dead(errors.New("no")), "snooze": queue.Snooze(time.Second)} {
		m.HandleKind(kind, func(ctx context.Context, job *queue.Job[queue.Raw]) error {
			time.Sleep(20 * time.Millisecond)
			if job.CreatedAt.Add(500 * time.Millisecond).After(time.Now()) { // not the first time
				return first
			}
			return nil
		})
	}
	return m
}

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// run starts the worker until the test ends.
func (r *rig) run() {
	r.Helper()
	ctx, end := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.worker.Run(ctx) }()
	r.Cleanup(func() {
		end()
		if err := <-done; err != nil {
			r.Error(err)
		}
	})
	redistest.WaitFor(r, time.Minute, func() bool { return r.worker.Health().Ready }, "the worker")
}

func (r *rig) add(kind string, options ...queue.Option) {
	r.Helper()
	_, err := r.client.Enqueue(context.Background(), queue.Raw{Name: kind, Payload: []byte("{}")}, options...)
	r.must(err)
}

// scrape answers every value by name and labels, and the names of metrics.
func (r *rig) scrape() (values map[string]float64, names []string) {
	r.Helper()
	families, err := r.registry.Gather()
	r.must(err)
	values = make(map[string]float64)
	for _, f := range families {
		names = append(names, f.GetName())
		for _, m := range f.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			at := strings.TrimPrefix(f.GetName(), "tidemill_") + "{" + strings.Join(labels, ",") + "}"
			switch {
			case m.Histogram != nil:
				values[at] = float64(m.Histogram.GetSampleCount())
			case m.Counter != nil:
				values[at] = m.Counter.GetValue()
			default:
				values[at] = m.Gauge.GetValue()
			}
		}
	}
	return values, names
}

// want holds values against those that are wanted, "absent" being -1.
func (r *rig) want(values, want map[string]float64) {
	r.Helper()
	for _, at := range slices.Sorted(maps.Keys(want)) {
		got, there := values[at]
		if !there {
			got = -1
		}
		if got != want[at] {
			r.Errorf("%s is %v, want %v", at, got, want[at])
		}
	}
}
