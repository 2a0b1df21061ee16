package pitfalls

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// Handlers that ignore the end of their context, by a timeout and by a lost session, keep their slots: no more than the
// concurrency run at once, and no two attempts of one id.
func TestPitfall06TimeoutFreesTheSlot(t *testing.T) {
	x := newWorld(t)
	const slots, jobs = 4, 24
	var l ledger
	mux := l.mux()
	mux.HandleKind("deaf", func(_ context.Context, job *queue.Job[queue.Raw]) error {
		<-time.After(200 * time.Millisecond)
		if job.Attempt == 1 {
			return queue.RetryAfter(errors.New("late"), time.Millisecond)
		}
		return nil
	})
	mux.HandleKind("long", func(_ context.Context, job *queue.Job[queue.Raw]) error {
		<-time.After(2 * time.Second)
		return nil
	})
	for range slots { // those whose session is lost under them
		x.addKind("long")
	}
	x.work(x.open(x.srv.Addr(), 0), mux, worker.Config{Concurrency: slots})
	x.wait("the long ones", func() bool { return l.starts() == slots })
	for range jobs {
		x.addKind("deaf", queue.Timeout(20*time.Millisecond))
	}
	session := x.sessions()[0]
	x.must(x.rdb.ZAdd(x.ctx, x.key("sessions"), redis.Z{Score: -1, Member: session}).Err()) // lost
	n := x.drained()
	starts := perID(l.read()...)
	if l.most != slots || l.together != 0 {
		t.Errorf("%d handlers at once in %d slots, %d overlaps of one id", l.most, slots, l.together)
	}
	if len(starts) != slots+jobs || n.Succeeded != slots+jobs || n.Failed != jobs || n.Recovered != slots || l.starts() != 2*(slots+jobs) {
		t.Errorf("%d starts, %+v", l.starts(), n)
	}
}
