// Package metrics is a pubsub client's numbers for Prometheus:
//
//	prometheus.MustRegister(metrics.New(client))
//
// A scrape asks nobody: it tells what the client has counted since it was made (see pubsub.Stats), and costs a message
// nothing on its way. docs/monitoring.md lists every metric.
package metrics
