package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidemill/tidemill/pubsub"
)

// Metric is one metric as it is documented. None has labels: topics come from messages, and may be any number.
type Metric struct {
	Name string
	Type string // counter or gauge
	Help string
}

// Metrics lists every metric of a Collector.
func Metrics() []Metric {
	out := make([]Metric, len(all))
	for i, d := range all {
		out[i] = d.Metric
	}
	return out
}

// desc is a metric, made once, and where its value is found.
type desc struct {
	Metric
	prom *prometheus.Desc
	kind prometheus.ValueType
	read func(s *pubsub.Stats) float64
}

func counter(name, help string, read func(s *pubsub.Stats) uint64) *desc {
	return define(prometheus.CounterValue, "counter", name+"_total", help, func(s *pubsub.Stats) float64 { return float64(read(s)) })
}

func gauge(name, help string, read func(s *pubsub.Stats) int) *desc {
	return define(prometheus.GaugeValue, "gauge", name, help, func(s *pubsub.Stats) float64 { return float64(read(s)) })
}

func define(kind prometheus.ValueType, word, name, help string, read func(s *pubsub.Stats) float64) *desc {
	name = "tidemill_pubsub_" + name
	return &desc{Metric: Metric{Name: name, Type: word, Help: help}, prom: prometheus.NewDesc(name, help, nil, nil), kind: kind, read: read}
}

var all = []*desc{
	counter("published_messages", "Messages that Redis took.", func(s *pubsub.Stats) uint64 { return s.Published }),
	counter("received_messages", "Messages that arrived over the subscription connection.", func(s *pubsub.Stats) uint64 { return s.Received }),
	counter("delivered_messages", "Messages put into the buffers of subscriptions, each for itself.", func(s *pubsub.Stats) uint64 { return s.Delivered }),
	counter("dropped_messages", "Messages that full buffers did not take, or that were taken out for newer ones.", func(s *pubsub.Stats) uint64 { return s.Dropped }),
	counter("undecodable_messages", "Messages that could not be decoded into the type of their topic.", func(s *pubsub.Stats) uint64 { return s.Undecodable }),
	counter("failed_messages", "Messages of live topics whose handler returned an error or panicked.", func(s *pubsub.Stats) uint64 { return s.Failed }),
	counter("gaps", "Times that messages may have been missed: a connection was lost, or retention dropped what a group had not had.", func(s *pubsub.Stats) uint64 { return s.Gaps }),
	gauge("subscriptions", "Live subscriptions open in this process.", func(s *pubsub.Stats) int { return s.Subscriptions }),
	gauge("connections", "Subscription connections to Redis that are open.", func(s *pubsub.Stats) int { return s.Connections }),
	counter("acked_messages", "Messages of durable topics that were acknowledged.", func(s *pubsub.Stats) uint64 { return s.Acked }),
	counter("nacked_messages", "Messages of durable topics that were given back, to be delivered again.", func(s *pubsub.Stats) uint64 { return s.Nacked }),
	counter("redelivered_messages", "Messages of durable topics that came again.", func(s *pubsub.Stats) uint64 { return s.Redelivered }),
	counter("dead_messages", "Messages of durable topics that a group gave up.", func(s *pubsub.Stats) uint64 { return s.DeadLettered }),
}
