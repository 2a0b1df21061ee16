package worker

import (
	"context"
	"math"
	"runtime/debug"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// TestBallast: it is of the slots that there are, no more than 32 MB of them, and none where a memory limit is set. It is not
// parallel, as the limit is the whole process's.
func TestBallast(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(math.MaxInt64))
	var b ballast
	for _, c := range []struct{ add, want int }{
		{500, 500 * ballastEach}, {20, 520 * ballastEach}, {5000, ballastMost}, {5000, ballastMost}, {-5020, ballastMost},
		{-5500, 0}, {1, ballastEach}, {-1, 0},
	} {
		if b.add(c.add); len(b.held) != c.want {
			t.Errorf("%d slots: %d bytes, want %d", b.slots, len(b.held), c.want)
		}
	}
	debug.SetMemoryLimit(1 << 40)
	if b.add(5000); b.held != nil {
		t.Errorf("with a memory limit: %d bytes", len(b.held))
	}
}

// TestBallastOfRun: a worker brings it while it runs.
func TestBallastOfRun(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(math.MaxInt64))
	srv := redistest.Server(t)
	r := &real{T: t, ctx: context.Background(), srv: srv, rdb: redistest.Client(t, srv), logs: &logBook{}}
	held := func() (slots, bytes int) {
		processBallast.mu.Lock()
		defer processBallast.mu.Unlock()
		return processBallast.slots, len(processBallast.held)
	}
	p := r.start(r.open(queue.Config{}), NewMux(), Config{Concurrency: 500})
	r.wait(time.Minute, "the ballast", func() bool {
		slots, bytes := held()
		return slots == 500 && bytes == 500*ballastEach
	})
	if _, err := p.stop(); err != nil {
		t.Fatal(err)
	}
	if slots, bytes := held(); slots != 0 || bytes != 0 {
		t.Errorf("%d slots and %d bytes are left behind", slots, bytes)
	}
}
