package pubsub_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/pubsub"
)

func TestAllAndC(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, _ *redistest.Bubble, c *pubsub.Client) {
		to := topic[int](t, c, "t")
		all, some, events := subscribe(t, to), subscribe(t, to), subscribe(t, to)
		ch := events.C()
		if events.C() != ch {
			t.Error("C answers another channel")
		}
		for i := range 10 {
			publish(t, to, i)
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		sum := 0
		for m, err := range all.All(ctx) {
			if err != nil {
				t.Error(err)
			}
			sum += m.Data
		}
		if sum != 45 {
			t.Errorf("the sum is %d", sum)
		}
		for m := range some.All(t.Context()) {
			if m.Data == 3 {
				break
			}
		}
		if m := next(t, some); m.Data != 4 {
			t.Errorf("after leaving the loop came %d", m.Data)
		}
		for i := range 10 {
			if e := <-ch; e.Err != nil || e.Message.Data != i {
				t.Errorf("%+v", e)
			}
		}
		publish(t, to, 10)
		synctest.Wait()
		events.Close() // C holds one, and nobody takes it
		events.Close()
		if e, open := <-ch; open {
			t.Errorf("%+v came after Close", e)
		}
		if _, err := events.Next(t.Context()); !errors.Is(err, pubsub.ErrClosed) {
			t.Errorf("Next after Close: %v", err)
		}
		for m, err := range events.All(t.Context()) {
			t.Errorf("%v, %v after Close", m, err)
		}
		if events.Err() != nil {
			t.Errorf("Err after Close: %v", events.Err())
		}
		if _, open := <-subscribeClosed(t, to).C(); open {
			t.Error("C of a closed subscription is open")
		}
		left := errors.New("left")
		why, leave := context.WithCancelCause(t.Context())
		leave(left)
		if _, err := some.Next(why); !errors.Is(err, left) {
			t.Errorf("Next of one who left: %v", err)
		}
	})
}

func subscribeClosed[T any](t testing.TB, to *pubsub.Topic[T]) *pubsub.Subscription[T] {
	s := subscribe(t, to)
	s.Close()
	return s
}

// TestPoliciesInBand: what a consumer sees that does nothing while 10 messages come.
func TestPoliciesInBand(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, _ *redistest.Bubble, c *pubsub.Client) {
		to := topic[int](t, c, "t")
		sub := func(p pubsub.Policy) *pubsub.Subscription[int] {
			return subscribe(t, to, pubsub.Buffer(3), pubsub.WhenFull(p))
		}
		oldest, newest, block, slow := sub(pubsub.DropOldest), sub(pubsub.DropNewest), sub(pubsub.Block(time.Minute)), sub(pubsub.CloseWhenSlow)
		for i := range 10 {
			publish(t, to, i)
		}
		synctest.Wait()
		if g := gap(t, oldest); g.Missed != 7 || g.Reason != "slow consumer" || oldest.Dropped() != 7 || next(t, oldest).Data != 7 {
			t.Errorf("DropOldest: %+v, %d dropped", g, oldest.Dropped())
		}
		for i := range 3 {
			if m := next(t, newest); m.Data != i {
				t.Errorf("DropNewest: %d", m.Data)
			}
		}
		if g := gap(t, newest); g.Missed != 7 || newest.Dropped() != 7 {
			t.Errorf("DropNewest: %+v, %d dropped", g, newest.Dropped())
		}
		for i := range 6 {
			if m := next(t, block); m.Data != i {
				t.Errorf("Block: %d", m.Data)
			}
		}
		if g := gap(t, block); g.Missed != 4 || block.Dropped() != 4 {
			t.Errorf("Block: %+v, %d dropped", g, block.Dropped())
		}
		for i := range 3 {
			if m := next(t, slow); m.Data != i {
				t.Errorf("CloseWhenSlow: %d", m.Data)
			}
		}
		if err := odd(t, slow); !errors.Is(err, pubsub.ErrSlowConsumer) || !errors.Is(slow.Err(), pubsub.ErrSlowConsumer) || slow.Dropped() != 1 {
			t.Errorf("CloseWhenSlow: %v, then %v; %d dropped", err, slow.Err(), slow.Dropped())
		}
		n := 0
		for _, err := range slow.All(t.Context()) {
			if n++; !errors.Is(err, pubsub.ErrSlowConsumer) {
				t.Error(err)
			}
		}
		if e := <-slow.C(); !errors.Is(e.Err, pubsub.ErrSlowConsumer) || n != 1 {
			t.Errorf("%v, and All yielded %d", e.Err, n)
		}
		if n := c.Stats(); n.Dropped != 7+7+4+1 || n.Delivered != 10+3+6+3 || n.Subscriptions != 3 || n.Received != 10 {
			t.Errorf("%+v", n)
		}
		slow.Close()
		if slow.Err() == nil {
			t.Error("Close hides why it ended")
		}
	})
}

// TestBlockedTooLong: who waits for room longer than allowed is dropped, whether or not anybody looks.
func TestBlockedTooLong(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, _ *redistest.Bubble, c *pubsub.Client) {
		to := topic[int](t, c, "t")
		s := subscribe(t, to, pubsub.Buffer(2), pubsub.WhenFull(pubsub.Block(time.Second)))
		for i := range 4 {
			publish(t, to, i)
		}
		synctest.Wait()
		if n := s.Dropped(); n != 0 {
			t.Errorf("%d dropped at once", n)
		}
		time.Sleep(time.Second)
		if n, total := s.Dropped(), c.Stats().Dropped; n != 2 || total != 2 {
			t.Errorf("%d dropped, %d in all", n, total)
		}
		publish(t, to, 4)
		synctest.Wait()
		if a, b := next(t, s), next(t, s); a.Data != 0 || b.Data != 1 || gap(t, s).Missed != 2 || next(t, s).Data != 4 {
			t.Errorf("%d, %d", a.Data, b.Data)
		}
	})
}

// TestChannelOfAClosedOne: a channel that is asked for after the end leaves nothing behind, read or not.
func TestChannelOfAClosedOne(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, _ *redistest.Bubble, c *pubsub.Client) { // which sees goroutines that stay
		to := topic[int](t, c, "t")
		s, err := to.Subscribe(t.Context())
		slow, err2 := to.Subscribe(t.Context(), pubsub.Buffer(1), pubsub.WhenFull(pubsub.CloseWhenSlow))
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		publish(t, to, 1)
		publish(t, to, 2)
		synctest.Wait()
		for _, s := range []*pubsub.Subscription[int]{s, slow} {
			s.Close()
			_ = s.C()
		}
		if err := slow.Err(); !errors.Is(err, pubsub.ErrSlowConsumer) || s.Err() != nil {
			t.Errorf("%v, %v", err, s.Err())
		}
	})
}

// TestClose: the client's ends all that is the client's, also what is being begun, and is not waited for by anybody.
func TestClose(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, b *redistest.Bubble, other *pubsub.Client) {
		c, err := pubsub.New(b.Client())
		if err != nil {
			t.Fatal(err)
		}
		to := topic[int](t, c, "t")
		s, stays := subscribe(t, to), subscribe(t, topic[int](t, other, "t"))
		ends := make(chan error, 2)
		go func() {
			_, err := s.Next(t.Context())
			ends <- err
		}()
		release := b.HoldRequest(func(cmd string, args []string) bool { return cmd == "SUBSCRIBE" })
		defer release()
		go func() {
			_, err := topic[int](t, c, "slow").Subscribe(t.Context())
			ends <- err
		}()
		time.Sleep(time.Second)
		if err := errors.Join(c.Close(), c.Close()); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := <-ends; !errors.Is(err, pubsub.ErrClosed) {
				t.Errorf("%v", err)
			}
		}
		if _, err := to.Subscribe(t.Context()); !errors.Is(err, pubsub.ErrClosed) || s.Err() != nil {
			t.Errorf("%v; %v", err, s.Err())
		}
		if err := c.Ping(t.Context()); !errors.Is(err, pubsub.ErrClosed) {
			t.Errorf("%v", err)
		}
		if n := c.Stats().Subscriptions; n != 0 {
			t.Errorf("%d subscriptions are left", n)
		}
		publish(t, topic[int](t, other, "t"), 7)
		if m := next(t, stays); m.Data != 7 {
			t.Errorf("%+v", m)
		}
	})
}
