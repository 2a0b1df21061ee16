package worker

import (
	"context"
	"testing"
	"time"

	"github.com/tidemill/tidemill/queue"
)

// The server's clock jumps by a minute, as after a failover to a machine that is set wrong: nobody is taken for dead who
// lives, work goes on, and who died just then is recovered.
func TestServerClockJumps(t *testing.T) {
	for _, jump := range []time.Duration{time.Minute, -time.Minute} {
		t.Run(jump.String(), func(t *testing.T) {
			inBubble(t, func(e *env) {
				naps := func(ctx context.Context, _ *queue.Job[queue.Raw]) error {
					select {
					case <-ctx.Done():
						return context.Cause(ctx)
					case <-time.After(15 * time.Second):
						return nil
					}
				}
				a, b := newRig(naps), newRig(naps)
				e.start(a.Mux, Config{Concurrency: 12})
				e.start(b.Mux, Config{Concurrency: 12})
				e.addMany(10, queue.Retain(48*time.Hour))
				e.wait(time.Second, "the handlers", func() bool { return a.n()+b.n() == 10 })
				doomed := newRig(naps)
				p := e.start(doomed.Mux, Config{Concurrency: 2})
				e.addMany(14 + 2) // the first two fill up, the last one takes what is left
				e.wait(time.Second, "all handlers", func() bool { return a.n()+b.n()+doomed.n() == 26 })
				lost := doomed.n()
				time.Sleep(777 * time.Millisecond)

				defer e.offset(jump)()
				p.gate.close()
				jumped := time.Now()
				// The first heartbeat after the jump takes it for an outage: from there on it is the TTL and a second.
				e.wait(beatAtMost+DefaultSessionTTL+time.Second, "the dead one's jobs to be taken back", func() bool { return e.counts().Recovered == int64(lost) })
				t.Logf("%d jobs of a worker that died with the jump were taken back after %v", lost, time.Since(jumped))
				e.drained(3 * time.Minute)
				began := time.Now()
				had := a.n() + b.n()
				e.add("job")
				e.wait(5*time.Second, "a new job to start", func() bool { return a.n()+b.n() == had+1 })
				t.Logf("a new job started after %v", time.Since(began))
				e.drained(3 * time.Minute)
				if n := e.counts(); lost == 0 || n.Succeeded != 27 || n.Recovered != int64(lost) || n.Failed != 0 {
					t.Errorf("%d jobs of the dead worker, %+v", lost, n)
				}
				p.gate.open()
				e.wait(30*time.Second, "it to find that out", func() bool { return len(e.logs.find("session lost")) > 0 })
				if found := e.logs.find("session lost"); len(found) != 1 {
					t.Errorf("logged %v", found)
				}
			})
		})
	}
}
