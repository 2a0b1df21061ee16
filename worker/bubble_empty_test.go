package worker

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tidemill/tidemill/queue"
)

func TestExitWhenEmpty(t *testing.T) {
	inBubble(t, func(e *env) {
		var r *rig
		r = newRig(func(context.Context, *queue.Job[queue.Raw]) error {
			time.Sleep(3 * time.Second)
			if r.n() == 1 {
				return queue.RetryAfter(errors.New("once more"), 5*time.Second)
			}
			return nil
		})
		e.add("job")
		e.add("job", queue.In(20*time.Second))
		began := time.Now()
		p := e.launch(r.Mux, Config{ExitWhenEmpty: true})
		<-p.done
		if took := time.Since(began) - 23*time.Second; p.err != nil || took < 0 || took > 100*time.Millisecond {
			t.Errorf("Run returned %v, %v after the last job", p.err, took)
		}
		if n := e.counts(); n.Succeeded != 2 || n.Failed != 1 {
			t.Errorf("%+v", n)
		}
	})
}

// What another worker runs counts until it ends or is taken back.
func TestExitWhenEmptyWaitsForOthers(t *testing.T) {
	inBubble(t, func(e *env) {
		var causes list[error]
		a, b := newRig(blocked(&causes)), newRig(succeed)
		p := e.start(a.Mux, Config{})
		e.add("job")
		e.wait(time.Second, "the handler", func() bool { return a.n() == 1 })
		other := e.launch(b.Mux, Config{ExitWhenEmpty: true})
		time.Sleep(10 * time.Second)
		select {
		case <-other.done:
			t.Fatal("it did not wait")
		default:
		}
		p.gate.close()
		<-other.done
		if other.err != nil || b.n() != 1 {
			t.Errorf("Run returned %v after %d starts", other.err, b.n())
		}
	})
}
