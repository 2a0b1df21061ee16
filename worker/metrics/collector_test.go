package metrics_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
	"github.com/tidemill/tidemill/worker/metrics"
)

func TestCounts(t *testing.T) {
	inBubble(t, metrics.Config{}, func(r *rig) {
		r.run()
		for i := range 7 {
			for _, kind := range []string{"ok", "retry", "dead", "snooze"} {
				r.add(kind)
			}
			r.add(fmt.Sprintf("any.%d", i%2), queue.Queue("other"), queue.Retain(time.Hour))
		}
		r.add("nobody's")
		time.Sleep(10 * time.Second)
		values, _ := r.scrape()
		attempts := func(queue, kind, outcome string) string {
			return fmt.Sprintf("worker_attempts_total{kind=%s,outcome=%s,queue=%s}", kind, outcome, queue)
		}
		r.want(values, map[string]float64{
			attempts("default", "ok", "succeeded"): 7, attempts("default", "ok", "retried"): 0,
			attempts("default", "retry", "succeeded"): 7, attempts("default", "retry", "retried"): 7,
			attempts("default", "dead", "died"): 7, attempts("default", "dead", "succeeded"): 0,
			attempts("default", "snooze", "succeeded"): 7, attempts("default", "snooze", "snoozed"): 7,
			attempts("default", "other", "unknown_kind"): 1,
			attempts("other", "any.0", "succeeded"):      4, attempts("other", "any.1", "succeeded"): 3,
			"worker_wait_seconds{kind=retry,queue=default}": 14, "worker_run_seconds{kind=retry,queue=default}": 14,
			"worker_end_to_end_seconds{kind=retry,queue=default}": 7, "worker_end_to_end_seconds{kind=dead,queue=default}": 0,
			"queue_enqueued_jobs_total{queue=default}": 29, "queue_succeeded_jobs_total{queue=default}": 21,
			"queue_failed_attempts_total{queue=default}": 14, "queue_jobs{queue=default,state=dead}": 7,
			"queue_jobs{queue=default,state=scheduled}": 1, "queue_jobs{queue=other,state=finished}": 7,
			"queue_sessions{queue=other}": 1, "worker_ready{}": 1, "redis_up{}": 1, "worker_concurrency{}": 5,
			"worker_phase{phase=working}": 1, "worker_phase{phase=draining}": 0, "worker_queue_session{queue=default}": 1,
		})
	})
}

// How long work waits, by what stands at the heads of the queues.
func TestAges(t *testing.T) {
	inBubble(t, metrics.Config{}, func(r *rig) {
		r.add("ok", queue.Queue("other"), queue.Priority(3))
		time.Sleep(5 * time.Second)
		r.add("ok", queue.In(10*time.Second), queue.Queue("default"))
		r.add("ok", queue.Queue("other"), queue.Priority(9))
		time.Sleep(5 * time.Second)
		values, _ := r.scrape()
		r.want(values, map[string]float64{"queue_oldest_ready_seconds{queue=other}": 10, "queue_oldest_ready_seconds{queue=default}": 0,
			"queue_scheduled_late_seconds{queue=default}": 0, "worker_ready{}": 0, "worker_phase{phase=starting}": 1,
			"worker_last_heartbeat_timestamp_seconds{}": 0, "queue_sessions{queue=default}": 0})
		time.Sleep(12 * time.Second)
		values, _ = r.scrape()
		r.want(values, map[string]float64{"queue_oldest_ready_seconds{queue=other}": 22, "queue_scheduled_late_seconds{queue=default}": 7})
	})
}

// A Redis that is away or does not answer: the scrape succeeds in time, with what the process knows itself.
func TestScrapeWithoutRedis(t *testing.T) {
	for name, frozen := range map[string]bool{"refused": false, "frozen": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, metrics.Config{}, func(r *rig) {
				r.run()
				r.add("ok")
				time.Sleep(10 * time.Second)
				back := func() { r.b.Refuse(false) }
				if frozen {
					back = r.b.HoldRequest(redistest.On())
				} else {
					r.b.Refuse(true)
					r.b.Cut()
				}
				time.Sleep(10 * time.Second)
				for range 3 {
					began := time.Now()
					values, _ := r.scrape()
					if took := time.Since(began); took > metrics.DefaultTimeout {
						t.Errorf("it took %v", took)
					}
					r.want(values, map[string]float64{"redis_up{}": 0, "worker_ready{}": 0, "queue_jobs{queue=default,state=ready}": -1,
						"worker_attempts_total{kind=ok,outcome=succeeded,queue=default}": 1, "worker_run_seconds{kind=ok,queue=default}": 1})
				}
				back()
				time.Sleep(10 * time.Second)
				values, _ := r.scrape()
				r.want(values, map[string]float64{"redis_up{}": 1, "worker_ready{}": 1, "queue_jobs{queue=default,state=ready}": 0})
			})
		})
	}
}

// A key of the wrong type costs the numbers of its queue, and no others.
func TestScrapeOfABrokenQueue(t *testing.T) {
	inBubble(t, metrics.Config{}, func(r *rig) {
		r.run()
		r.must(r.b.M.Set("tm:{default}:dead", "not ours"))
		time.Sleep(5 * time.Second)
		values, _ := r.scrape()
		r.want(values, map[string]float64{"redis_up{}": 1, "queue_jobs{queue=default,state=dead}": -1, "queue_jobs{queue=other,state=dead}": 0,
			"worker_queue_ready{queue=default}": 0, "worker_queue_ready{queue=other}": 1, "worker_ready{}": 0})
	})
}

// Several scrapers at once, and shortly after one another, ask Redis once.
func TestScrapersShareOneReading(t *testing.T) {
	inBubble(t, metrics.Config{}, func(r *rig) {
		asked := 0
		r.b.Delay(func(cmd string, _ []string) time.Duration {
			if cmd == "ZRANGE" { // the first command of Counts
				asked++
			}
			return 100 * time.Millisecond
		})
		done := make(chan struct{})
		for range 10 {
			go func() {
				_, _ = r.registry.Gather()
				done <- struct{}{}
			}()
		}
		for range 10 {
			<-done
		}
		time.Sleep(900 * time.Millisecond)
		r.scrape()
		if asked != 2 { // once a queue
			t.Errorf("%d readings, want one of each of 2 queues", asked)
		}
		time.Sleep(200 * time.Millisecond)
		r.scrape()
		if asked != 4 {
			t.Errorf("%d readings after the second has passed, want another of each", asked)
		}
		r.b.Delay(nil)
	})
}

// The names and texts are as Prometheus wants them, and there is no metric but those that are listed.
func TestLint(t *testing.T) {
	inBubble(t, metrics.Config{}, func(r *rig) {
		r.run()
		r.add("ok")
		time.Sleep(2 * time.Second)
		problems, err := testutil.GatherAndLint(r.registry)
		r.must(err)
		for _, p := range problems {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
		_, names := r.scrape()
		var listed []string
		for _, m := range metrics.Metrics() {
			listed = append(listed, m.Name)
		}
		slices.Sort(listed)
		if !slices.Equal(names, listed) {
			t.Errorf("scraped %q\nlisted %q", names, listed)
		}
	})
}

func TestConfigFaults(t *testing.T) {
	client, err := queue.New(redistest.Embedded(t))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	w, err := worker.New(client, mux(), worker.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for want, config := range map[string]metrics.Config{
		"kinds to measure: -1; allowed: 1 to 10000": {Kinds: -1}, "Timeout: -1s; allowed: more than 0": {Timeout: -time.Second},
		"CacheFor: -1ns; allowed: more than 0": {CacheFor: -1},
	} {
		if _, err := metrics.New(client, w, config); !errors.Is(err, queue.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
