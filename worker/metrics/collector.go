package metrics

import (
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// Defaults of Config.
const (
	DefaultKinds    = 50
	DefaultTimeout  = 2 * time.Second
	DefaultCacheFor = time.Second
)

// Config is a Collector's settings; the zero value works.
type Config struct {
	// Kinds bounds the kinds of a queue that are told apart, since they come from jobs; the rest is worker.OtherKind. Those
	// with a handler of their own always are. 1 to 10000, default 50.
	Kinds int
	// Timeout bounds how long a scrape waits for Redis; default 2 s.
	Timeout time.Duration
	// CacheFor is for how long what Redis said holds, so that several scrapers do not multiply; default 1 s.
	CacheFor time.Duration
}

// Collector is a prometheus.Collector of one worker and the queues that it serves. For several workers of one process
// register each with prometheus.WrapRegistererWith and a label. Safe for concurrent use.
type Collector struct {
	client *queue.Client
	worker *worker.Worker
	redis  *reader
	bounds []float64
}

// New makes a Collector and lets the worker measure its attempts from now on. Errors: queue.ErrInvalid with what is
// allowed.
func New(client *queue.Client, w *worker.Worker, config Config) (*Collector, error) {
	if config.Kinds == 0 {
		config.Kinds = DefaultKinds
	}
	if config.Timeout == 0 {
		config.Timeout = DefaultTimeout
	}
	if config.CacheFor == 0 {
		config.CacheFor = DefaultCacheFor
	}
	var faults []string
	for _, f := range []struct {
		name  string
		value time.Duration
	}{{"Timeout", config.Timeout}, {"CacheFor", config.CacheFor}} {
		if f.value < 0 {
			faults = append(faults, fmt.Sprintf("%s: %v; allowed: more than 0", f.name, f.value))
		}
	}
	if len(faults) > 0 {
		return nil, fmt.Errorf("%w %s", queue.ErrInvalid, strings.Join(faults, "\n"))
	}
	if err := w.Measure(config.Kinds); err != nil {
		return nil, err
	}
	c := &Collector{client: client, worker: w, redis: &reader{client: client, timeout: config.Timeout, cacheFor: config.CacheFor}}
	for _, q := range w.Health().Queues {
		c.redis.queues = append(c.redis.queues, q.Name)
	}
	for _, bound := range worker.MeasureBounds() {
		c.bounds = append(c.bounds, bound.Seconds())
	}
	return c, nil
}

// Describe sends every metric there is.
func (c *Collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range all {
		to <- d.prom
	}
}

// Collect sends what the metrics are now. It takes Config.Timeout at most, also when Redis does not answer.
func (c *Collector) Collect(to chan<- prometheus.Metric) {
	out := sink{to}
	c.redis.read().collect(out)
	c.measured(out)
	c.health(out)
	c.pool(out)
	sent, dropped := c.client.EventCounts()
	out.put(events, float64(sent), "sent")
	out.put(events, float64(dropped), "dropped")
}

// sink sends metrics.
type sink struct{ to chan<- prometheus.Metric }

func (s sink) put(d *desc, value float64, labels ...string) {
	s.to <- prometheus.MustNewConstMetric(d.prom, d.kind, value, labels...)
}

func (c *Collector) measured(out sink) {
	for _, m := range c.worker.Measured() {
		for _, outcome := range worker.Outcomes() {
			out.put(attempts, float64(m.Attempts[outcome]), m.Queue, m.Kind, outcome)
		}
		c.histogram(out, wait, &m.Wait, m.Queue, m.Kind)
		c.histogram(out, runtime, &m.Run, m.Queue, m.Kind)
		c.histogram(out, endToEnd, &m.EndToEnd, m.Queue, m.Kind)
	}
}

func (c *Collector) histogram(out sink, d *desc, h *worker.Histogram, labels ...string) {
	cumulative := make(map[float64]uint64, len(c.bounds))
	var sum uint64
	for i, bound := range c.bounds {
		sum += h.Buckets[i]
		cumulative[bound] = sum
	}
	out.to <- prometheus.MustNewConstHistogram(d.prom, h.Count, h.Sum, cumulative, labels...)
}

func (c *Collector) health(out sink) {
	h := c.worker.Health()
	out.put(workerReady, bit(h.Ready))
	for _, word := range []string{"starting", "working", "quiet", "draining", "stopped"} {
		out.put(workerPhase, bit(h.Phase == word), word)
	}
	at := 0.0
	if !h.Heartbeat.IsZero() {
		at = float64(h.Heartbeat.UnixMilli()) / 1000
	}
	out.put(heartbeat, at)
	out.put(slots, float64(h.Concurrency))
	out.put(stuck, float64(h.Stuck))
	for _, q := range h.Queues {
		out.put(queueReady, bit(q.Ready), q.Name)
		out.put(queueSession, bit(q.Session), q.Name)
		out.put(running, float64(q.Running), q.Name)
		out.put(buffered, float64(q.Buffered), q.Name)
		out.put(recovered, float64(q.Tally.Recovered), q.Name)
		out.put(refusedWrites, float64(q.Tally.Refused), q.Name)
		out.put(lostSessions, float64(q.Tally.SessionsLost), q.Name)
		out.put(lostClaims, float64(q.Tally.ClaimsLost), q.Name)
	}
}

func (c *Collector) pool(out sink) {
	s := c.client.Redis().PoolStats()
	out.put(poolConnections, float64(s.IdleConns), "idle")
	out.put(poolConnections, float64(s.TotalConns-min(s.IdleConns, s.TotalConns)), "used")
	out.put(poolGets, float64(s.Hits), "hit")
	out.put(poolGets, float64(s.Misses), "miss")
	out.put(poolGets, float64(s.Timeouts), "timeout")
	out.put(poolStale, float64(s.StaleConns))
}

func bit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
