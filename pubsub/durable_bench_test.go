package pubsub

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tidemill/tidemill/internal/redistest"
)

// bench is a durable topic of 200 bytes of JSON a message on a real server.
func bench(b *testing.B) (*Client, *Durable[order], order) {
	rdb := redistest.Client(b, redistest.Server(b))
	c, err := New(rdb)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Close() })
	d, err := NewDurable[order](c, "orders", KeepCount(1_000_000))
	if err != nil {
		b.Fatal(err)
	}
	return c, d, order{N: 1, Text: strings.Repeat("x", 200-len(`{"n":1000000,"text":""}`))}
}

// publishAll publishes b.N messages in batches.
func publishAll(b *testing.B, d *Durable[order], one order) {
	const batch = 4096
	data := make([]order, batch)
	for n := 0; n < b.N; n += batch {
		some := data[:min(batch, b.N-n)]
		for i := range some {
			some[i] = one
			some[i].N = n + i
		}
		if _, err := d.PublishMany(b.Context(), some); err != nil {
			b.Error(err)
			return
		}
	}
}

func rate(b *testing.B) { b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s") }

func BenchmarkDurablePublishMany(b *testing.B) {
	_, d, one := bench(b)
	b.ResetTimer()
	publishAll(b, d, one)
	rate(b)
}

// 256 goroutines publish one at a time.
func BenchmarkDurablePublish(b *testing.B) {
	_, d, one := bench(b)
	b.SetParallelism(128)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := d.Publish(b.Context(), one); err != nil {
				b.Error(err)
				return
			}
		}
	})
	rate(b)
}

// handle consumes n messages in one member.
func handle(b *testing.B, d *Durable[order], n int, options ...GroupOption) {
	m, err := d.Subscribe(b.Context(), "g", options...)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	var got atomic.Int64
	err = m.Handle(ctx, func(context.Context, *Message[order]) error {
		if got.Add(1) == int64(n) {
			cancel()
		}
		return nil
	})
	if err != nil {
		b.Error(err)
	}
	m.Close()
}

func BenchmarkDurableConsume(b *testing.B) {
	_, d, one := bench(b)
	publishAll(b, d, one)
	b.ResetTimer()
	handle(b, d, b.N)
	rate(b)
}

// Published, consumed and acknowledged at the same time, in one process.
func BenchmarkDurableBoth(b *testing.B) {
	_, d, one := bench(b)
	b.ResetTimer()
	var publisher sync.WaitGroup
	publisher.Go(func() { publishAll(b, d, one) })
	handle(b, d, b.N)
	publisher.Wait()
	rate(b)
}
