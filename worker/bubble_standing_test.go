package worker

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/queue"
)

// call is an exchange as it went over the wire.
type call struct{ lane, want int }

// calls notes the exchanges that are answered from now on.
func (e *env) calls() *list[call] {
	seen := &list[call]{}
	isExchange := script("exchange")
	e.b.Delay(func(cmd string, args []string) time.Duration {
		if isExchange(cmd, args) {
			n, _ := strconv.Atoi(args[1])
			lane, _ := strconv.Atoi(args[n+3])
			want, _ := strconv.Atoi(args[n+5])
			seen.add(call{lane, want})
		}
		return 0
	})
	return seen
}

func standingOf(e *env, on *list[call]) (standingClaims, others int) {
	e.Helper()
	for _, c := range on.all() {
		switch {
		case c.lane == standing:
			standingClaims++
		case c.want > 0:
			others++
		}
	}
	return standingClaims, others
}

// Jobs that come to a worker which had one lately are claimed by the call that stands behind its pop: nobody asks for them
// once more.
func TestStandingClaim(t *testing.T) {
	inBubble(t, func(e *env) {
		r := newRig(succeed)
		e.start(r.Mux, Config{})
		e.add("job") // the first one is found by asking
		e.drained(time.Second)
		time.Sleep(10 * time.Millisecond)
		seen := e.calls()
		for i := range 10 {
			began := time.Now()
			e.add("job")
			e.wait(time.Second, "the job", func() bool { return r.n() == i+2 })
			if took := r.at(i + 1).Sub(began); took > 2*time.Millisecond {
				t.Errorf("job %d started after %v", i, took)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if n, others := standingOf(e, seen); n != 10 || others != 0 {
			t.Errorf("%d standing claims were sent, want 10; %d other calls asked for jobs", n, others)
		}
		// Idle: the last one ends after a while, and no other follows.
		time.Sleep(time.Minute)
		if n, _ := standingOf(e, seen); n != 10 {
			t.Errorf("%d standing claims after a minute of rest, want 10", n)
		}
	})
}

// A burst is not left waiting behind the few jobs that a standing claim takes.
func TestStandingClaimOfABurst(t *testing.T) {
	inBubble(t, func(e *env) {
		r := newRig(succeed)
		e.start(r.Mux, Config{})
		e.add("job")
		e.drained(time.Second)
		for range 5 {
			time.Sleep(20 * time.Millisecond)
			before, began := r.n(), time.Now()
			items := make([]queue.Item, 300)
			for i := range items {
				items[i] = queue.Item{Args: queue.Raw{Name: "job", Payload: []byte("{}")}}
			}
			_, err := e.client.EnqueueMany(e.ctx, items)
			e.must(err)
			e.wait(time.Second, "the burst", func() bool { return r.n() == before+len(items) })
			if took := time.Since(began); took > 50*time.Millisecond {
				t.Errorf("took %v", took)
			}
		}
	})
}

// The answer to a standing claim is lost, also while the worker is told to stop: its job runs once, and soon.
func TestStandingClaimLosesItsReply(t *testing.T) {
	for _, stops := range []bool{false, true} {
		t.Run(strconv.FormatBool(stops), func(t *testing.T) {
			inBubble(t, func(e *env) {
				r := newRig(succeed)
				p := e.start(r.Mux, Config{})
				for i := range 20 {
					e.b.DropReplies(nextStanding())
					e.add("job")
					e.wait(5*time.Second, "a job", func() bool { return r.n() == 2*i+1 })
					time.Sleep(10 * time.Millisecond) // a claim stands
					began := time.Now()
					e.add("job", queue.Retain(time.Minute))
					if stops {
						p.stopClean()
						p = e.start(r.Mux, Config{})
					}
					e.wait(5*time.Second, "the job", func() bool { return r.n() == 2*i+2 })
					if took := r.at(2*i + 1).Sub(began); took > time.Second {
						t.Errorf("started after %v", took)
					}
					e.b.DropReplies(nil)
				}
				e.drained(time.Second)
				if r.n() != 40 {
					t.Errorf("%d starts of 40 jobs", r.n())
				}
				if n := e.b.Dropped(); !stops && n != 20 {
					t.Errorf("%d replies were lost, want 20", n)
				}
			})
		})
	}
}

// nextStanding chooses the next standing claim that is sent once a wake-up came.
func nextStanding() func(string, []string) bool {
	done, isExchange := false, script("exchange")
	return func(cmd string, args []string) bool {
		if done || !isExchange(cmd, args) {
			return false
		}
		n, _ := strconv.Atoi(args[1])
		done = args[n+3] == strconv.Itoa(standing)
		return done
	}
}

// Whenever a worker is told to stop, what its standing claim may have taken in that moment goes to the next one at once.
func TestStandingClaimAsItStops(t *testing.T) {
	inBubble(t, func(e *env) {
		r := newRig(succeed)
		other := newRig(succeed)
		late := delayed(script("exchange"), 3*time.Millisecond)
		for i := range 12 {
			p := e.start(r.Mux, Config{})
			before := r.n() + other.n()
			e.add("job")
			// A server in memory keeps the waiter of a closed connection, to which a token may go.
			e.wait(5*time.Second, "a job", func() bool { return r.n()+other.n() == before+1 })
			time.Sleep(10 * time.Millisecond)
			e.b.Delay(late)
			began := time.Now()
			e.add("job")
			time.Sleep(time.Duration(i) * 500 * time.Microsecond)
			p.stopClean()
			e.b.Delay(nil)
			q := e.start(other.Mux, Config{})
			e.wait(5*time.Second, "the job", func() bool { return r.n()+other.n() == before+2 })
			if took := time.Since(began); took > beatAtMost+100*time.Millisecond {
				t.Errorf("started after %v", took)
			}
			e.drained(time.Second)
			q.stopClean()
		}
	})
}

// A process that is gone without a word, and had no job lately, takes at most a token with it.
func TestDeadWaiterClaimsNothing(t *testing.T) {
	inBubble(t, func(e *env) {
		r := newRig(succeed)
		dead := e.start(r.Mux, Config{})
		e.add("job")
		e.drained(time.Second)
		e.start(r.Mux, Config{})
		time.Sleep(2 * standFor)
		dead.gate.close()
		for i := range 5 {
			began := time.Now()
			e.add("job")
			e.wait(5*time.Second, "the job", func() bool { return r.n() == i+2 })
			if took := r.at(i + 1).Sub(began); took > beatAtMost+100*time.Millisecond {
				t.Errorf("job %d started after %v", i, took)
			}
		}
		dead.gate.open()
	})
}

// The next queue is guessed from the last two tokens.
func TestLearn(t *testing.T) {
	w := bench(t, Config{Queues: []Queue{{Name: "a"}, {Name: "b"}, {Name: "c", Concurrency: 1}}})
	a := &watch{w: w}
	q := w.consumers
	for i, c := range []struct {
		active   []*consumer
		token    broker.Token
		ok       bool
		expected *consumer
	}{
		{q, broker.Token{Place: 0}, true, nil}, {q, broker.Token{Place: 0}, true, q[0]}, {q, broker.Token{Place: 1, Due: true}, true, q[0]},
		{q, broker.Token{}, false, q[0]}, {q, broker.Token{Place: 1}, true, nil}, {q, broker.Token{Place: 1}, true, q[1]},
		{q[2:], broker.Token{Place: 0}, true, q[2]},
	} {
		a.learn(c.active, c.token, c.ok, nil)
		if a.expected != c.expected {
			t.Errorf("step %d: expects %+v", i, a.expected)
		}
	}
	if a.learn(q, broker.Token{}, false, context.DeadlineExceeded); a.expected != nil || a.last != nil {
		t.Error("it goes on after a pop failed")
	}
}
