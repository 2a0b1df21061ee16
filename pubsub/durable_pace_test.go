package pubsub

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
)

// ahead is how many messages a member has that no consumer took.
func (m *member) ahead() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.window.ready.n
}

// A fast consumer is read ahead for; one that is still at its first message, and all of a crowd of slow ones, are not.
func TestReadingAheadAdapts(t *testing.T) {
	inBubble(t, func(t *testing.T, b *redistest.Bubble) {
		r := newRig(t, b.Client())
		r.publish(1, 500)
		fast := r.join("fast")
		most := 0
		for n := 1; n <= 300; n++ {
			ack(t, next(t, fast, n, 1))
			most = max(most, fast.m.ahead())
		}
		if most < 100 || most > usualBatch {
			t.Errorf("at most %d messages were read ahead of a fast consumer", most)
		}
		slow := r.join("slow")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- slow.Handle(ctx, func(ctx context.Context, _ *Message[order]) error {
				<-ctx.Done()
				return ctx.Err()
			}, Concurrency(20))
		}()
		synctest.Wait()
		if n, g := slow.m.ahead(), r.group("slow"); n != 0 || g.Pending != 20 {
			t.Errorf("%d messages were read ahead of slow consumers, %+v", n, g)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// An answer about a session that is over says nothing about the one after it, which may have the same message.
func TestLateAnswerToTheSessionBefore(t *testing.T) {
	inBubble(t, func(t *testing.T, b *redistest.Bubble) {
		r := newRig(t, b.Client())
		r.publish(1, 1)
		m := r.join("g", Backoff(time.Minute, time.Minute))
		msg := next(t, m, 1, 1)
		d := msg.settler.(*delivery)
		before, _ := m.m.self()
		if err := msg.Nack(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		late := &delivery{m: m.m, epoch: d.epoch - 1, entry: d.entry, phase: waiting}
		before.Session = "over"
		if err := m.m.tellSettled(t.Context(), before, nil, []*delivery{late}); err != nil {
			t.Fatal(err)
		}
		ack(t, next(t, m, 1, 2))
	})
}

// A message that turns out to be another's while it is read again for its next attempt is let go.
func TestNotOursWhileReadAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, b *redistest.Bubble) {
		r := newRig(t, b.Client())
		r.publish(1, 2)
		m := r.join("g", Backoff(time.Minute, time.Minute))
		for n := 1; n <= 2; n++ {
			if err := next(t, m, n, 1).Nack(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		m.m.mu.Lock()
		second := m.m.window.waiting[0] // the heap is in the order of their backoffs, which have jitter
		if first := m.m.window.waiting[1]; first.entry.Position > second.entry.Position {
			second = first
		}
		m.m.window.waiting.remove(second) // as it is while it is read
		epoch := m.m.epoch
		m.m.mu.Unlock()
		if err := b.Client().XAck(t.Context(), r.topic.keys.Stream(), "g", second.entry.Position).Err(); err != nil {
			t.Fatal(err)
		}
		g, _ := m.m.self()
		if err := m.m.tellSettled(t.Context(), g, nil, []*delivery{second}); err != nil {
			t.Fatal(err)
		}
		if err := m.m.again(t.Context(), []*delivery{second}, epoch); err != nil {
			t.Fatal(err)
		}
		if n := m.m.ahead(); n != 0 {
			t.Errorf("%d messages are ready", n)
		}
		ack(t, next(t, m, 1, 2))
	})
}

// A consumer that was fast and then sits on a message keeps that alone: what was read ahead for it goes to others, as if it
// had never been taken.
func TestReadAheadInVain(t *testing.T) {
	inBubble(t, func(t *testing.T, b *redistest.Bubble) {
		r := newRig(t, b.Client())
		r.publish(1, 100)
		m := r.join("g")
		for n := 1; n <= 50; n++ {
			ack(t, next(t, m, n, 1))
		}
		held := next(t, m, 51, 1)
		ahead := m.m.ahead()
		if ahead == 0 {
			t.Fatal("nothing was read ahead")
		}
		time.Sleep(time.Minute)
		if n := m.m.ahead(); n != 0 {
			t.Errorf("%d messages are still with the member", n)
		}
		other := newRig(t, b.Client()).join("g")
		for n := 52; n <= 90; n++ {
			ack(t, within(t, other, time.Second, n, 1))
		}
		time.Sleep(time.Minute) // then the other sits too, and the first goes on
		ack(t, held)
		for n := 91; n <= 100; n++ {
			ack(t, within(t, m, 3*time.Second, n, 1))
		}
		synctest.Wait()
		if g := r.group("g"); g.Pending != 0 || g.Lag != 0 || g.Members != 2 {
			t.Errorf("%+v", g)
		}
	})
}

// A message is due while the member looks for what a lost reply left: it is tried again all the same.
func TestDueDuringAReconciliation(t *testing.T) {
	inBubble(t, func(t *testing.T, b *redistest.Bubble) {
		r := newRig(t, b.Client())
		r.publish(1, 1)
		m := r.join("g", Backoff(time.Second, time.Second))
		if err := next(t, m, 1, 1).Nack(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		m.m.mu.Lock()
		m.m.window.waiting[0].due = time.Now()
		m.m.check = true
		m.m.mu.Unlock()
		m.m.intake.Set()
		ack(t, next(t, m, 1, 2))
	})
}
