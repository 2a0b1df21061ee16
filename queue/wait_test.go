package queue_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// endingMux serves kinds that end in each way, after a time.
func endingMux(after time.Duration) *worker.Mux {
	mux := worker.NewMux()
	sleep := func(ctx context.Context) error {
		select {
		case <-time.After(after):
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	mux.HandleKind("good", func(ctx context.Context, job *queue.Job[queue.Raw]) error {
		return errors.Join(sleep(ctx), job.SetResult([]byte("fine")))
	})
	mux.HandleKind("bad", func(ctx context.Context, _ *queue.Job[queue.Raw]) error {
		return errors.Join(sleep(ctx), queue.Dead(queue.WithOutput(errors.New("no luck"), "it printed this")))
	})
	return mux
}

func kind(name string) queue.Raw { return queue.Raw{Name: name, Payload: []byte("{}")} }

// bubbleOf runs a test under fake time, with a client that waits and one whose worker works.
func bubbleOf(t *testing.T, run func(t *testing.T, b *redistest.Bubble, c, workers *queue.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(func() { time.Sleep(3 * time.Second) }) // go-redis' pools look each second whether they were closed
		b := redistest.NewBubble(t)
		run(t, b, around(t, b.Client()), around(t, b.Client()))
	})
}

// Each way to end is told at once to the client that asked, and within 2 s where nobody asked.
func TestWaitIsTold(t *testing.T) {
	const takes = 30 * time.Second
	bubbleOf(t, func(t *testing.T, _ *redistest.Bubble, c, workers *queue.Client) {
		work(t, workers, endingMux(takes), worker.Config{Concurrency: 10})
		for _, one := range []struct {
			name, kind string
			options    []queue.Option
			want       queue.State
			ends       time.Duration // after it was enqueued
		}{
			{"succeeded", "good", nil, queue.Succeeded, takes},
			{"dead", "bad", nil, queue.DeadState, takes},
			{"expired", "good", []queue.Option{queue.In(5 * time.Second), queue.ExpireIn(time.Second)}, queue.Expired, 5 * time.Second},
			{"deadline passed", "good", []queue.Option{queue.In(5 * time.Second), queue.Deadline(time.Now().Add(time.Second))}, queue.DeadState, 5 * time.Second},
			{"last attempt timed out", "good", []queue.Option{queue.Timeout(7 * time.Second), queue.MaxAttempts(1)}, queue.DeadState, 7 * time.Second},
		} {
			for _, asked := range []bool{true, false} {
				options := append([]queue.Option{queue.Retain(time.Hour)}, one.options...)
				if asked {
					options = append(options, queue.Notify())
				}
				id := enqueue(t, c, kind(one.kind), options...)
				start := time.Now()
				s, err := c.Wait(t.Context(), "default", id)
				if err != nil || s.State != one.want {
					t.Fatalf("%s: %+v, %v", one.name, s, err)
				}
				late := 50 * time.Millisecond
				if !asked {
					late = 2*time.Second + 50*time.Millisecond
				}
				within(t, fmt.Sprintf("%s, asked=%v", one.name, asked), time.Since(start), one.ends-2*time.Millisecond, one.ends+late)
			}
		}
		id := enqueue(t, c, kind("good"), queue.Retain(time.Hour), queue.Notify())
		if s, err := c.Wait(t.Context(), "default", id); err != nil || string(s.Result) != "fine" || s.Attempts != 1 {
			t.Errorf("%+v, %v", s, err)
		}
		// It has ended: that is told without waiting.
		start := time.Now()
		if s, err := c.Wait(t.Context(), "default", id); err != nil || s.State != queue.Succeeded {
			t.Errorf("%+v, %v", s, err)
		}
		within(t, "what is over", time.Since(start), 0, time.Millisecond)
	})
}

// A cancel mark on a running job ends it, and is told too; a job that an operator takes away is found out.
func TestWaitForWhatOperatorsEnd(t *testing.T) {
	bubbleOf(t, func(t *testing.T, _ *redistest.Bubble, c, workers *queue.Client) {
		work(t, workers, endingMux(time.Hour), worker.Config{Concurrency: 10})
		wait := func(what string, asked time.Duration, act func(id string) error, want queue.State, wantErr error, options ...queue.Option) {
			t.Helper()
			id := enqueue(t, c, kind("good"), append(options, queue.Notify())...)
			var done time.Time
			time.AfterFunc(10*time.Second, func() {
				done = time.Now()
				if err := act(id); err != nil {
					t.Error(err)
				}
			})
			s, err := c.Wait(t.Context(), "default", id)
			if !errors.Is(err, wantErr) || wantErr == nil && s.State != want {
				t.Errorf("%s: %+v, %v", what, s, err)
			}
			within(t, what, time.Since(done), 0, asked)
		}
		const hint, poll = 50 * time.Millisecond, 2050 * time.Millisecond
		cancel := func(id string) error { _, err := c.Cancel(t.Context(), "default", id); return err }
		remove := func(id string) error { return c.Delete(t.Context(), "default", id) }
		wait("cancelled while it runs", hint, cancel, queue.Cancelled, nil, queue.Retain(time.Hour))
		wait("cancelled before", poll, cancel, queue.Cancelled, nil, queue.Retain(time.Hour), queue.In(time.Minute))
		wait("cancelled and not kept", poll, cancel, "", queue.ErrUnknownJob, queue.In(time.Minute))
		wait("deleted", poll, remove, "", queue.ErrUnknownJob, queue.In(time.Minute), queue.Retain(time.Hour))
	})
}

// Without a retention only a dead job can be told of: the one that succeeded is gone when the hint comes.
func TestWaitWithoutRetention(t *testing.T) {
	bubbleOf(t, func(t *testing.T, _ *redistest.Bubble, c, workers *queue.Client) {
		work(t, workers, endingMux(10*time.Second), worker.Config{})
		id := enqueue(t, c, kind("good"), queue.Notify())
		start := time.Now()
		s, err := c.Wait(t.Context(), "default", id)
		if !errors.Is(err, queue.ErrUnknownJob) || s == nil || s.State != queue.Running {
			t.Errorf("%+v, %v", s, err)
		}
		within(t, "finding out", time.Since(start), 10*time.Second, 10*time.Second+50*time.Millisecond)
		id = enqueue(t, c, kind("bad"), queue.Notify())
		if s, err := c.Wait(t.Context(), "default", id); err != nil || s.State != queue.DeadState || s.Reason != "no luck" || s.Errors[0].Output != "it printed this" {
			t.Errorf("%+v, %v", s, err)
		}
		start = time.Now()
		if _, err := c.Wait(t.Context(), "default", "never was"); !errors.Is(err, queue.ErrUnknownJob) {
			t.Error(err)
		}
		within(t, "what never was", time.Since(start), 0, time.Millisecond)
		if _, err := c.Wait(t.Context(), "no such queue{}", id); !errors.Is(err, queue.ErrInvalid) {
			t.Error(err)
		}
	})
}

// A hint that gets lost costs at most 2 s: the worker's publishing fails, or the subscription is away.
func TestWaitSurvivesLostHints(t *testing.T) {
	bubbleOf(t, func(t *testing.T, b *redistest.Bubble, c, workers *queue.Client) {
		const takes = 20 * time.Second
		work(t, workers, endingMux(takes), worker.Config{})
		wait := func(what string, spoil func()) {
			t.Helper()
			id := enqueue(t, c, kind("good"), queue.Retain(time.Hour), queue.Notify())
			time.AfterFunc(takes-time.Millisecond, spoil)
			start := time.Now()
			if s, err := c.Wait(t.Context(), "default", id); err != nil || s.State != queue.Succeeded {
				t.Fatalf("%s: %+v, %v", what, s, err)
			}
			within(t, what, time.Since(start), takes, takes+2500*time.Millisecond)
		}
		hint := func(cmd string, args []string) bool { return cmd == "PUBLISH" && strings.Contains(args[0], ":ended:") }
		b.DropReplies(hint)
		wait("a reply to the hint is lost", func() {})
		b.DropReplies(nil)
		b.HoldRequest(func(cmd string, args []string) bool { return hint(cmd, args) })
		wait("a hint that never arrives", func() {})
		if b.Held() == 0 {
			t.Error("no hint was held: this shows nothing")
		}
		wait("every connection is cut", b.Cut)
	})
}

// A Redis that is away is waited for; when it stays away for a minute that is told.
func TestWaitWhileRedisIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, b := refusing(t)
		id := "some job"
		start := time.Now()
		if _, err := c.Wait(t.Context(), "default", id); !errors.Is(err, queue.ErrUnavailable) {
			t.Error(err)
		}
		within(t, "giving up", time.Since(start), time.Minute, 70*time.Second)
		start = time.Now()
		time.AfterFunc(30*time.Second, func() { b.Refuse(false) })
		if _, err := c.Wait(t.Context(), "default", id); !errors.Is(err, queue.ErrUnknownJob) {
			t.Error(err)
		}
		within(t, "being back", time.Since(start), 30*time.Second, 34*time.Second)
	})
}

func TestWaitEnds(t *testing.T) {
	bubbleOf(t, func(t *testing.T, b *redistest.Bubble, c, _ *queue.Client) {
		id := enqueue(t, c, kind("good"), queue.Notify())
		why := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Second, why)
		defer cancel()
		s, err := c.Wait(ctx, "default", id)
		if !errors.Is(err, why) || s == nil || s.State != queue.Ready {
			t.Errorf("%+v, %v", s, err)
		}
		other := around(t, b.Client())
		time.AfterFunc(10*time.Second, func() { _ = other.Close() })
		start := time.Now()
		if _, err := other.Wait(t.Context(), "default", id); !errors.Is(err, queue.ErrClosed) {
			t.Error(err)
		}
		within(t, "the end of the client", time.Since(start), 10*time.Second, 10*time.Second+time.Millisecond)
	})
}

// Where no connection is left for the subscription, Wait looks by itself.
func TestWaitWithoutConnection(t *testing.T) {
	bubbleOf(t, func(t *testing.T, b *redistest.Bubble, _, workers *queue.Client) {
		c := around(t, b.Client(), queue.Config{MaxConnections: 4})
		stop := work(t, c, worker.NewMux(), worker.Config{Queues: []worker.Queue{{Name: "other"}}}) // takes the three others
		time.Sleep(time.Second)
		work(t, workers, endingMux(10*time.Second), worker.Config{})
		id := enqueue(t, c, kind("good"), queue.Retain(time.Hour), queue.Notify())
		start := time.Now()
		if s, err := c.Wait(t.Context(), "default", id); err != nil || s.State != queue.Succeeded {
			t.Errorf("%+v, %v", s, err)
		}
		within(t, "waiting without hints", time.Since(start), 10*time.Second, 12100*time.Millisecond)
		stop()
	})
}
