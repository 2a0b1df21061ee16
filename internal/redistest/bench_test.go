package redistest

import (
	"context"
	"net"
	"testing"

	"github.com/redis/go-redis/v9"
)

// What a command costs on a Bubble: what rings 2 and 3 of the tests pay.
func BenchmarkBubble(b *testing.B) {
	rdb := NewBubble(b).Client()
	for b.Loop() {
		if err := rdb.Set(b.Context(), "k", "v", 0).Err(); err != nil {
			b.Fatal(err)
		}
	}
}

// The same on miniredis's own pipe, without the relay.
func BenchmarkPipe(b *testing.B) {
	bubble := NewBubble(b)
	rdb := bubble.Client(func(o *redis.Options) { o.Dialer = pipeDialer(bubble) })
	for b.Loop() {
		if err := rdb.Set(b.Context(), "k", "v", 0).Err(); err != nil {
			b.Fatal(err)
		}
	}
}

func pipeDialer(b *Bubble) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) { return b.M.Dial() }
}
