package pubsub_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/pubsub"
)

// quote is about 200 bytes of JSON.
type quote struct {
	Symbol   string  `json:"symbol"`
	Exchange string  `json:"exchange"`
	Currency string  `json:"currency"`
	Bid      float64 `json:"bid"`
	Ask      float64 `json:"ask"`
	Volume   int64   `json:"volume"`
	Sequence int64   `json:"sequence"`
	Note     string  `json:"note"`
}

func someQuote() quote {
	return quote{"TIDE.A", "XETRA", "EUR", 181.25, 181.5, 1_250_000, 98_765_432,
		"a line of text such as feeds bring along, of seventy letters and more"}
}

// flow publishes in batches, at most window messages ahead of what was received.
func flow[T any](b *testing.B, to *pubsub.Topic[T], data []T, received *atomic.Int64, window int64) {
	for sent := int64(0); sent < int64(b.N); {
		for sent-received.Load() > window {
			time.Sleep(50 * time.Microsecond)
		}
		n := min(int64(len(data)), int64(b.N)-sent)
		if _, err := to.PublishMany(b.Context(), data[:n]); err != nil {
			b.Fatal(err)
		}
		sent += n
	}
	for deadline := time.Now().Add(20 * time.Second); received.Load() < int64(b.N); time.Sleep(100 * time.Microsecond) {
		if time.Now().After(deadline) {
			b.Fatalf("%d of %d came", received.Load(), b.N)
		}
	}
}

func deliver[T any](b *testing.B, one T) {
	c := open(b, redistest.Server(b).URL())
	to := topic[T](b, c, "quotes")
	s := subscribe(b, to, pubsub.Buffer(1<<17))
	var received atomic.Int64
	go func() {
		for m := range s.All(context.Background()) {
			if m != nil {
				received.Add(1)
			}
		}
	}()
	b.ResetTimer()
	flow(b, to, slices.Repeat([]T{one}, 4096), &received, 32<<10)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
	if s.Dropped() > 0 {
		b.Errorf("%d dropped", s.Dropped())
	}
}

// BenchmarkDeliver publishes and receives in one process, beside its Redis.
func BenchmarkDeliver(b *testing.B) {
	b.Run("JSON", func(b *testing.B) { deliver(b, someQuote()) })
	b.Run("Raw", func(b *testing.B) { deliver(b, pubsub.Raw(make([]byte, 200))) })
}

// BenchmarkPublish is concurrent single publishes, which share pipelines.
func BenchmarkPublish(b *testing.B) {
	for _, callers := range []int{1, 256} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			c := open(b, redistest.Server(b).URL())
			to := topic[quote](b, c, "quotes")
			b.SetParallelism(max(callers/2, 1))
			b.ResetTimer()
			if callers == 1 {
				for range b.N {
					publish(b, to, someQuote())
				}
			} else {
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if _, err := to.Publish(context.Background(), someQuote()); err != nil {
							b.Error(err)
						}
					}
				})
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}

// BenchmarkFanOut is many subscriptions of a process to one topic: b.N messages to each of them.
func BenchmarkFanOut(b *testing.B) {
	for _, many := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("subscriptions=%d", many), func(b *testing.B) {
			c := open(b, redistest.Server(b).URL())
			to := topic[quote](b, c, "quotes")
			var received atomic.Int64 // of the slowest, about
			counts := make([]atomic.Int64, many)
			for i := range many {
				s := subscribe(b, to)
				go func() {
					for range s.All(context.Background()) {
						counts[i].Add(1)
						if i == many-1 {
							received.Add(1)
						}
					}
				}()
			}
			b.ResetTimer()
			flow(b, to, slices.Repeat([]quote{someQuote()}, 64), &received, 256)
			total := func() (n int64) {
				for i := range counts {
					n += counts[i].Load()
				}
				return n
			}
			for total() < int64(b.N)*int64(many) && c.Stats().Dropped == 0 {
				time.Sleep(100 * time.Microsecond)
			}
			b.ReportMetric(float64(total())/b.Elapsed().Seconds(), "deliveries/s")
			if n := c.Stats(); n.Dropped > 0 || n.Connections != 1 {
				b.Errorf("%+v", n)
			}
		})
	}
}

// BenchmarkLatency is from before Publish to the handler, one message at a time.
func BenchmarkLatency(b *testing.B) {
	c := open(b, redistest.Server(b).URL())
	to := topic[quote](b, c, "quotes")
	s := subscribe(b, to)
	arrived := make(chan time.Time, 1)
	go func() {
		_ = s.Handle(context.Background(), func(context.Context, *pubsub.Message[quote]) error {
			arrived <- time.Now()
			return nil
		})
	}()
	took := make([]time.Duration, 0, b.N)
	b.ResetTimer()
	for range b.N {
		began := time.Now()
		publish(b, to, someQuote())
		took = append(took, (<-arrived).Sub(began))
		time.Sleep(200 * time.Microsecond)
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-us")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-us")
}
