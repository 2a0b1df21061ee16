// Package metrics is a worker's numbers for Prometheus:
//
//	collector, err := metrics.New(client, w, metrics.Config{})
//	...
//	prometheus.MustRegister(collector)
//
// What a scrape answers is of three sorts. What the worker measured itself costs it no call and no lock of its own on the
// way of a job (see worker.Measure). How deep its queues are and how long work waits in them is read from Redis when a
// scrape asks, without scans, at most once in Config.CacheFor however many ask, and within Config.Timeout: a Redis that
// does not answer costs a scrape that time and those numbers, and shows in tidemill_redis_up. The rest is the state of the
// worker and of its connections. docs/monitoring.md lists every metric.
package metrics
