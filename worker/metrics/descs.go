package metrics

import "github.com/prometheus/client_golang/prometheus"

// Metric is one metric as it is documented.
type Metric struct {
	Name   string
	Type   string // counter, gauge or histogram
	Labels []string
	Help   string
}

// Metrics lists every metric of a Collector.
func Metrics() []Metric {
	out := make([]Metric, len(all))
	for i, d := range all {
		out[i] = d.Metric
	}
	return out
}

// desc is a metric, made once.
type desc struct {
	Metric
	prom *prometheus.Desc
	kind prometheus.ValueType
}

var all []*desc

func define(kind prometheus.ValueType, name, help string, labels ...string) *desc {
	word := map[prometheus.ValueType]string{prometheus.CounterValue: "counter", prometheus.GaugeValue: "gauge", prometheus.UntypedValue: "histogram"}[kind]
	name = "tidemill_" + name
	d := &desc{Metric: Metric{Name: name, Type: word, Labels: labels, Help: help}, prom: prometheus.NewDesc(name, help, labels, nil), kind: kind}
	all = append(all, d)
	return d
}

func counter(name, help string, labels ...string) *desc {
	return define(prometheus.CounterValue, name, help, labels...)
}

func gauge(name, help string, labels ...string) *desc {
	return define(prometheus.GaugeValue, name, help, labels...)
}

func histogram(name, help string, labels ...string) *desc {
	return define(prometheus.UntypedValue, name, help, labels...)
}

// What the worker measured.
var (
	attempts = counter("worker_attempts_total", "Attempts by what they came to.", "queue", "kind", "outcome")
	wait     = histogram("worker_wait_seconds", "How long jobs had been ready (since due, or created) when their handler was called.", "queue", "kind")
	runtime  = histogram("worker_run_seconds", "How long attempts took.", "queue", "kind")
	endToEnd = histogram("worker_end_to_end_seconds", "From creation to the end, of jobs that succeeded.", "queue", "kind")
)

// How the worker is.
var (
	workerReady   = gauge("worker_ready", "1 if the worker takes jobs from all its queues, as /readyz says, else 0.")
	workerPhase   = gauge("worker_phase", "1 for the phase that the worker is in, else 0.", "phase")
	heartbeat     = gauge("worker_last_heartbeat_timestamp_seconds", "When Redis last answered a heartbeat (Unix time; 0 = never).")
	slots         = gauge("worker_concurrency", "Handlers that may run at once.")
	stuck         = gauge("worker_stuck_handlers", "Handlers that ignore the end of their context and keep their slot.")
	queueReady    = gauge("worker_queue_ready", "1 if the worker takes jobs from the queue, else 0.", "queue")
	queueSession  = gauge("worker_queue_session", "1 if the worker holds a session of the queue, else 0.", "queue")
	running       = gauge("worker_running_jobs", "Handlers running.", "queue")
	buffered      = gauge("worker_buffered_jobs", "Jobs fetched ahead that wait for a slot.", "queue")
	recovered     = counter("worker_recovered_jobs_total", "Jobs that this worker took back from lost ones.", "queue")
	refusedWrites = counter("worker_refused_writes_total", "Writes of this worker that came too late: the claim was lost.", "queue")
	lostSessions  = counter("worker_lost_sessions_total", "Sessions that this worker lost.", "queue")
	lostClaims    = counter("worker_lost_claims_total", "Jobs that Redis did not hold for this worker any more while they ran.", "queue")
)

// What Redis says of the queues.
var (
	redisUp        = gauge("redis_up", "1 if Redis answered what this scrape asked, else 0.")
	jobs           = gauge("queue_jobs", "Jobs by state; suspect is a job ready to be tried alone.", "queue", "state")
	paused         = gauge("queue_paused", "1 if the queue is paused, else 0.", "queue")
	oldest         = gauge("queue_oldest_ready_seconds", "How long the longest waiting of the first ready jobs has been ready; 0 = none is.", "queue")
	late           = gauge("queue_scheduled_late_seconds", "How long ago the next scheduled job was due; 0 = it is not yet.", "queue")
	sessions       = gauge("queue_sessions", "Workers that serve the queue.", "queue")
	enqueued       = counter("queue_enqueued_jobs_total", "Jobs enqueued.", "queue")
	succeededJobs  = counter("queue_succeeded_jobs_total", "Jobs that succeeded.", "queue")
	failedAttempts = counter("queue_failed_attempts_total", "Attempts that failed.", "queue")
	cancelledJobs  = counter("queue_cancelled_jobs_total", "Jobs cancelled.", "queue")
	expiredJobs    = counter("queue_expired_jobs_total", "Jobs dropped since they were not started in time.", "queue")
	repeats        = counter("queue_recovered_jobs_total", "Jobs taken back from lost workers, which start again.", "queue")
	refused        = counter("queue_refused_writes_total", "Late writes of lost claims that were refused.", "queue")
)

// What the shared connections say.
var (
	poolConnections = gauge("redis_pool_connections", "Connections of the shared client by state.", "state")
	poolGets        = counter("redis_pool_gets_total", "Connections asked for: hit was free, miss was dialled, timeout was not to be had in time.", "result")
	poolStale       = counter("redis_pool_stale_connections_total", "Connections that were removed since they were dead.")
	events          = counter("events_total", "Messages about the lives of jobs: sent, or dropped since Redis did not take them or too many waited.", "result")
)
