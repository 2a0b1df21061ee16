package worker

import (
	"context"
	"math"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// TestBallast: while a worker runs the heap counts as larger, without taking any of the machine's memory; no more than 32 MB;
// afterwards, and where a memory limit is set, it does not. It is not parallel: it looks at the whole process's heap.
func TestBallast(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(math.MaxInt64))
	srv := redistest.Server(t)
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	more := func(concurrency int) (running, after int64) {
		t.Helper()
		r := &real{T: t, ctx: context.Background(), srv: srv, rdb: redistest.Client(t, srv), logs: &logBook{}}
		client := r.open(queue.Config{})
		before := heap()
		p := r.start(client, NewMux(), Config{Concurrency: concurrency})
		running = heap() - before
		if _, err := p.stop(); err != nil {
			t.Fatal(err)
		}
		return running, heap() - before
	}
	const some = 4 << 20 // what a worker itself takes, at most
	for concurrency, want := range map[int]int64{500: 500 * ballastEach, 5000: ballastMost} {
		if running, after := more(concurrency); running < want || running > want+some || after > some {
			t.Errorf("concurrency %d: %d bytes more while it runs, %d after; want %d, 0", concurrency, running, after, want)
		}
	}
	debug.SetMemoryLimit(1 << 40)
	if running, _ := more(5000); running > some {
		t.Errorf("with a memory limit: %d bytes more while it runs", running)
	}
}
