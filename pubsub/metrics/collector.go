package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidemill/tidemill/pubsub"
)

// Collector is a prometheus.Collector of one client. For several clients of one process register each with
// prometheus.WrapRegistererWith and a label. Safe for concurrent use.
type Collector struct {
	client *pubsub.Client
}

// New makes a Collector of a client, which stays the caller's to close. After that the numbers stand still.
func New(client *pubsub.Client) *Collector { return &Collector{client: client} }

// Describe sends every metric there is.
func (c *Collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range all {
		to <- d.prom
	}
}

// Collect sends what the metrics are now.
func (c *Collector) Collect(to chan<- prometheus.Metric) {
	stats := c.client.Stats()
	for _, d := range all {
		to <- prometheus.MustNewConstMetric(d.prom, d.kind, d.read(&stats))
	}
}
