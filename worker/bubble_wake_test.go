package worker

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/queue"
)

// Whatever the moment in which a job comes, of the blocking pop, of the call that claims or of the one that acknowledges,
// it starts within a few round trips. A wake-up that is missed costs up to a heartbeat.
func TestNoWakeUpIsMissed(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inBubble(t, func(e *env) {
				r := newRig(succeed)
				for range seed + 1 {
					e.start(r.Mux, Config{Queues: []Queue{{Name: "default"}, {Name: "other"}}, Concurrency: 2})
				}
				slow, pause := rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, 2))
				work := script("exchange")
				e.b.Delay(func(cmd string, args []string) time.Duration {
					if !work(cmd, args) {
						return 0
					}
					return time.Duration(slow.IntN(4000)) * time.Microsecond
				})
				added := make(map[uuid.UUID]time.Time)
				for i := range 300 {
					time.Sleep(time.Duration(pause.IntN(15000)) * time.Microsecond)
					now := time.Now()
					added[e.add("job", queue.Queue([]string{"default", "other"}[i%2]))] = now
				}
				e.wait(5*time.Second, "all jobs", func() bool { return r.n() == len(added) })
				for _, s := range r.attempts.all() {
					if took := s.at.Sub(added[s.info.ID]); took > 30*time.Millisecond {
						t.Errorf("a job in queue %s started after %v", s.info.Queue, took)
					}
				}
			})
		})
	}
}
