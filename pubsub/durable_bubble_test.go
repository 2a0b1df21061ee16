package pubsub

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
)

func TestNackWaitsAndCounts(t *testing.T) {
	inBubble(t, func(t *testing.T, b *redistest.Bubble) {
		r := newRig(t, b.Client())
		m := r.join("g", MaxAttempts(4), Backoff(time.Minute, 3*time.Minute))
		r.publish(1, 2)
		began := time.Now()
		var waits []time.Duration
		for attempt := 1; attempt <= 4; attempt++ {
			msg := within(t, m, 10*time.Minute, 1, attempt)
			waits = append(waits, time.Since(began))
			if attempt == 1 { // the others do not wait for it
				ack(t, next(t, m, 2, 1))
			}
			began = time.Now()
			if err := msg.Nack(t.Context(), errors.New("no luck")); err != nil {
				t.Fatal(err)
			}
			if err := msg.Ack(t.Context()); err == nil && attempt < 4 {
				t.Error("a message that was given back can be acknowledged")
			}
		}
		for i, limit := range []time.Duration{0, time.Minute, 2 * time.Minute, 3 * time.Minute} {
			if waits[i] > limit+time.Millisecond || waits[i] < limit*3/4 {
				t.Errorf("attempt %d came after %v, want up to %v", i+1, waits[i], limit)
			}
		}
		synctest.Wait()
		dead := r.dead("g")
		if len(dead) != 1 || dead[0].Error != "no luck" || dead[0].Attempt != 4 || string(dead[0].Data) != `{"n":1}` || dead[0].Topic != "orders" ||
			dead[0].Group != "g" || time.Since(dead[0].DiedAt) > time.Second || dead[0].ID == [16]byte{} || dead[0].Origin == dead[0].Position {
			t.Errorf("dead: %+v", dead)
		}
		if g := r.group("g"); g.Pending != 0 || g.Dead != 1 || g.Lag != 0 {
			t.Errorf("%+v", g)
		}
		if n := r.client.Stats(); n.Nacked != 3 || n.Acked != 1 || n.DeadLettered != 1 || n.Redelivered != 3 {
			t.Errorf("%+v", n)
		}
	})
}

// dead lists what a group gave up.
func (r *rig) dead(group string) []*DeadMessage {
	r.t.Helper()
	var all []*DeadMessage
	for d, err := range r.client.Streams().Dead(r.t.Context(), "orders", group) {
		if err != nil {
			r.t.Fatal(err)
		}
		all = append(all, d)
	}
	return all
}

func TestHandleSettles(t *testing.T) {
	inBubble(t, func(t *testing.T, b *redistest.Bubble) {
		r := newRig(t, b.Client())
		m := r.join("g", MaxAttempts(2))
		r.publish(1, 6)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		var calls [7]atomic.Int32
		err := m.Handle(ctx, func(ctx context.Context, msg *Message[order]) error {
			n := calls[msg.Data.N].Add(1)
			switch msg.Data.N {
			case 1:
				return Dead(errors.New("hopeless"))
			case 2:
				panic("at the " + string(rune('0'+n)))
			case 3:
				if n == 1 {
					runtimeGoexit()
				}
			case 4:
				if n == 1 {
					return errors.New("once")
				}
			case 5:
				_ = msg.Nack(ctx, Dead(errors.New("by itself")))
			}
			return nil
		}, Concurrency(3))
		if err != nil {
			t.Error(err)
		}
		for n, want := range []int32{0, 1, 2, 2, 2, 1, 1} {
			if got := calls[n].Load(); got != want {
				t.Errorf("message %d was handled %d times, want %d", n, got, want)
			}
		}
		var reasons []string
		for _, d := range r.dead("g") {
			reason, _, _ := strings.Cut(d.Error, "\n")
			reasons = append(reasons, reason)
		}
		slices.Sort(reasons)
		if want := []string{"by itself", "hopeless", "panic: at the 2"}; !slices.Equal(reasons, want) {
			t.Errorf("dead: %q", reasons)
		}
		m.Close()
		if g := r.group("g"); g.Pending != 0 || g.Members != 0 {
			t.Errorf("%+v", g)
		}
		if m.Err() != nil {
			t.Error(m.Err())
		}
	})
}

// A handler that was cut short by its context has made no attempt: the message comes again, at once, as if new.
func TestHandleEndsWithItsContext(t *testing.T) {
	inBubble(t, func(t *testing.T, b *redistest.Bubble) {
		r := newRig(t, b.Client())
		m := r.join("g")
		r.publish(1, 3)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(5*time.Minute, cancel)
		err := m.Handle(ctx, func(ctx context.Context, msg *Message[order]) error {
			if msg.Data.N == 1 {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		})
		if err != nil {
			t.Error(err)
		}
		ack(t, next(t, m, 2, 1))
		ack(t, next(t, m, 3, 1))
	})
}

func TestRedriveIsForItsGroupAlone(t *testing.T) {
	inBubble(t, func(t *testing.T, b *redistest.Bubble) {
		r := newRig(t, b.Client())
		m, other := r.join("g"), r.join("other")
		r.publish(1, 3)
		for n := 1; n <= 3; n++ {
			if err := next(t, m, n, 1).Nack(t.Context(), Dead(errors.New("no"))); err != nil {
				t.Fatal(err)
			}
			ack(t, next(t, other, n, 1))
		}
		synctest.Wait()
		dead := r.dead("g")
		if len(dead) != 3 {
			t.Fatalf("%d dead", len(dead))
		}
		s := r.client.Streams()
		if n, err := s.Redrive(t.Context(), "orders", "g", dead[1].Position, "1-1"); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		msg := next(t, m, 2, 1)
		if msg.ID != dead[1].ID {
			t.Errorf("another id: %v", msg.ID)
		}
		ack(t, msg)
		if n, err := s.Redrive(t.Context(), "orders", "g"); n != 2 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		ack(t, next(t, m, 1, 1))
		ack(t, next(t, m, 3, 1))
		r.publish(4, 4)
		ack(t, next(t, other, 4, 1)) // and none of those before it
		ack(t, next(t, m, 4, 1))
		synctest.Wait()
		for _, name := range []string{"g", "other"} {
			if g := r.group(name); g.Dead != 0 || g.Lag != 0 || g.Pending != 0 {
				t.Errorf("%+v", g)
			}
		}
		var seen []int
		for msg, err := range r.topic.Replay(t.Context(), FromStart) {
			if err != nil {
				t.Fatal(err)
			}
			seen = append(seen, msg.Data.N)
		}
		if !slices.Equal(seen, []int{1, 2, 3, 4}) {
			t.Errorf("a replay shows %v", seen)
		}
	})
}

func TestForeignEntries(t *testing.T) {
	inBubble(t, func(t *testing.T, b *redistest.Bubble) {
		r := newRig(t, b.Client())
		m := r.join("g")
		time.Sleep(5 * time.Minute)
		if _, err := b.M.XAdd("tm:topic:{orders}:stream", "*", []string{"data", `{"n":7}`, "by", "hand"}); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		msg := next(t, m, 7, 1)
		if msg.ID != [16]byte{} || !msg.Time.IsZero() || time.Since(began) > 2*time.Second {
			t.Errorf("%+v after %v", msg, time.Since(began))
		}
		ack(t, msg)
		for _, fields := range [][]string{{"a", "1", "b", "x"}, {"data", "no json"}} {
			if _, err := b.M.XAdd("tm:topic:{orders}:stream", "*", fields); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var undecodable *DecodeError
		if _, err := m.Next(ctx); !errors.As(err, &undecodable) || string(undecodable.Data) != "no json" {
			t.Errorf("got %v", err)
		}
		synctest.Wait()
		dead := r.dead("g")
		if len(dead) != 2 || string(dead[0].Data) != `{"a":"1","b":"x"}` || !strings.Contains(dead[0].Error, "field") ||
			string(dead[1].Data) != "no json" || !strings.Contains(dead[1].Error, "cannot be decoded") {
			t.Errorf("dead: %+v", dead)
		}
	})
}
