package pubsub_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/pubsub"
)

// TestReconnectIsAGap: published = delivered + inside a gap, in order, for every subscription.
func TestReconnectIsAGap(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, b *redistest.Bubble, c *pubsub.Client) {
		to := topic[int](t, around(t, b.Client()), "t.x")
		p, err := pubsub.NewPattern[int](c, "t.*")
		if err != nil {
			t.Fatal(err)
		}
		all := []*pubsub.Subscription[int]{subscribe(t, topic[int](t, c, "t.x")), subscribe(t, topic[int](t, c, "t.x")), subscribe(t, p)}
		type sent struct{ before, after time.Time }
		var log []sent
		for i := range 41 {
			if i == 40 { // shows that the last gap is over
				time.Sleep(5 * time.Second)
			}
			one := sent{before: time.Now()}
			for {
				if _, err := to.Publish(t.Context(), i); err == nil {
					break
				}
				one.before = time.Now()
			}
			one.after = time.Now()
			log = append(log, one)
			time.Sleep(70 * time.Millisecond)
			if i%10 == 5 {
				b.Cut()
			}
		}
		for n, s := range all {
			expect, gaps := 0, 0
			var open *pubsub.Gap
			for expect < len(log) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				m, err := s.Next(ctx)
				cancel()
				var g *pubsub.Gap
				if errors.As(err, &g) {
					gaps++
					open = g
					continue
				}
				if err != nil {
					t.Fatalf("%d: %v, after %d of %d", n, err, expect, len(log))
				}
				for ; expect < m.Data; expect++ {
					if open == nil || log[expect].after.Before(open.From) || log[expect].before.After(open.To) {
						t.Errorf("%d: message %d is missing, the last gap is %+v", n, expect, open)
					}
				}
				if m.Data != expect {
					t.Fatalf("%d: message %d came where %d was expected", n, m.Data, expect)
				}
				expect++
			}
			if gaps != 4 {
				t.Errorf("%d: %d gaps of 4", n, gaps)
			}
		}
		if n := c.Stats(); n.Gaps != 2*4 || n.Connections != 1 {
			t.Errorf("%+v", n)
		}
	})
}

// TestGroupsComeAndGo: the last subscription lets the connection go, and the next makes it anew.
func TestGroupsComeAndGo(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, b *redistest.Bubble, c *pubsub.Client) {
		to := topic[int](t, c, "t")
		quiet := b.Connections()
		for range 3 {
			one, two := subscribe(t, to), subscribe(t, topic[string](t, c, "t"))
			synctest.Wait()
			if n := b.Connections(); n != quiet+1 {
				t.Fatalf("%d connections, %d before", n, quiet)
			}
			one.Close()
			if n := c.Stats(); n.Subscriptions != 1 || n.Connections != 1 {
				t.Errorf("%+v", n)
			}
			two.Close()
			synctest.Wait()
			if n := c.Stats(); n.Subscriptions != 0 || n.Connections != 0 || b.Connections() != quiet {
				t.Errorf("%+v, %d connections", n, b.Connections())
			}
		}
	})
}

// TestSubscribeBesideOthersInAnOutage: it returns once Redis has confirmed anew, though the topic is subscribed already.
func TestSubscribeBesideOthersInAnOutage(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, b *redistest.Bubble, c *pubsub.Client) {
		to, before := topic[int](t, c, "t"), time.Now()
		first := subscribe(t, to)
		b.Refuse(true)
		b.Cut()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		_, err := to.Subscribe(ctx)
		if took := time.Since(before); !errors.Is(err, pubsub.ErrUnavailable) || took != 3*time.Second || !strings.Contains(err.Error(), "refused") {
			t.Errorf("after %v: %v", took, err)
		}
		time.AfterFunc(time.Second, func() { b.Refuse(false) })
		second := subscribe(t, to)
		if n := b.M.Publish("t", "7"); n != 1 {
			t.Errorf("%d subscriptions of the server when the second is confirmed", n)
		}
		for _, s := range []*pubsub.Subscription[int]{first, second} {
			gap(t, s)
			if m := next(t, s); m.Data != 7 {
				t.Errorf("%+v", m)
			}
		}
		b.Refuse(true)
		b.Cut()
		synctest.Wait()
		time.AfterFunc(time.Second, func() { _ = c.Close() })
		if _, err := to.Subscribe(t.Context()); !errors.Is(err, pubsub.ErrClosed) {
			t.Errorf("while the client closes: %v", err)
		}
		if n := c.Stats().Subscriptions; n != 0 {
			t.Errorf("%d subscriptions", n)
		}
	})
}

// TestSubscribeWhileRedisIsAway: the caller's patience counts, and nothing is left behind.
func TestSubscribeWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, b *redistest.Bubble, c *pubsub.Client) {
		to := topic[int](t, c, "t")
		b.Refuse(true)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		patient := make(chan *pubsub.Subscription[int], 1)
		go func() {
			s, err := to.Subscribe(t.Context())
			if err != nil {
				t.Error(err)
			}
			patient <- s
		}()
		before := time.Now()
		_, err := to.Subscribe(ctx)
		if took := time.Since(before); !errors.Is(err, pubsub.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) || took != 3*time.Second {
			t.Errorf("after %v: %v", took, err)
		}
		b.Refuse(false)
		s := <-patient
		if n := c.Stats().Subscriptions; n != 1 {
			t.Errorf("%d subscriptions", n)
		}
		s.Close()
	})
}
