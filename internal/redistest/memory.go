package redistest

import (
	"context"
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redisserver"
)

// filler is the key of FillMemory's ballast.
const filler = "redistest:filler"

// WithMaxMemory gives a server a memory limit, such as "8mb", that it enforces by
// refusing writes.
func WithMaxMemory(limit string) Option {
	return WithConfig("maxmemory "+limit, "maxmemory-policy noeviction")
}

// SetMaxMemory changes the memory limit of a running server, which refuses writes
// beyond it from now on: "1" is full at once, "0" no limit at all.
func SetMaxMemory(t testing.TB, srv *redisserver.Server, limit string) {
	t.Helper()
	rdb := Client(t, srv)
	for _, setting := range [][2]string{{"maxmemory-policy", "noeviction"}, {"maxmemory", limit}} {
		if err := rdb.ConfigSet(context.Background(), setting[0], setting[1]).Err(); err != nil {
			t.Fatalf("redistest: %s: %v", setting[0], err)
		}
	}
}

// FillMemory fills a server with a limit to the brim, so that it refuses whatever
// could grow. empty makes room again.
func FillMemory(t testing.TB, srv *redisserver.Server) (empty func()) {
	t.Helper()
	ctx, rdb := context.Background(), Client(t, srv)
	if limit := rdb.ConfigGet(ctx, "maxmemory").Val()["maxmemory"]; limit == "0" || limit == "" {
		t.Fatal("redistest: a server without a memory limit cannot be filled")
	}
	// Ever smaller pieces, twice over: what an end leaves in a client's buffer may become room. SETRANGE makes a value
	// without sending it.
	n := 0
	for range 2 {
		for size := 1 << 20; size > 0; size /= 8 {
			var err error
			for ; err == nil; n++ {
				err = rdb.SetRange(ctx, fmt.Sprint(filler, n), int64(size-1), "x").Err()
			}
			if !redis.HasErrorPrefix(err, "OOM") {
				t.Fatalf("redistest: fill: %v", err)
			}
		}
	}
	return func() {
		t.Helper()
		names := rdb.Keys(ctx, filler+"*").Val()
		if err := rdb.Unlink(ctx, names...).Err(); err != nil {
			t.Fatalf("redistest: make room: %v", err)
		}
	}
}
