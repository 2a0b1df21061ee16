package pubsub

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/redistest"
)

// numbers are those of the messages that a replay yields.
func numbers(t *testing.T, all iter.Seq2[*Message[order], error]) string {
	t.Helper()
	var ns []string
	for msg, err := range all {
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(msg.Ack(t.Context()), msg.Nack(t.Context(), nil)); err != nil {
			t.Errorf("settling a replayed message: %v", err)
		}
		ns = append(ns, fmt.Sprint(msg.Data.N))
	}
	return strings.Join(ns, " ")
}

func TestReplay(t *testing.T) {
	inBubble(t, func(t *testing.T, b *redistest.Bubble) {
		r := newRig(t, b.Client())
		if got := numbers(t, r.topic.Replay(t.Context(), FromStart)); got != "" {
			t.Errorf("of nothing: %s", got)
		}
		r.publish(1, 3)
		time.Sleep(time.Minute)
		noon := time.Now()
		r.publish(4, 6)
		var fourth *Message[order]
		for msg, err := range r.topic.Replay(t.Context(), FromTime(noon)) {
			if fourth = msg; err != nil {
				t.Fatal(err)
			}
			break
		}
		for _, c := range []struct {
			from Start
			want string
		}{
			{FromStart, "1 2 3 4 5 6"}, {Start{}, "1 2 3 4 5 6"}, {FromTime(noon), "4 5 6"}, {FromTime(noon.Add(-time.Second)), "4 5 6"},
			{FromTime(noon.Add(time.Millisecond)), ""}, {FromPosition(fourth.Position), "5 6"}, {FromNow, ""}, {FromTime(time.UnixMilli(0)), "1 2 3 4 5 6"},
		} {
			if got := numbers(t, r.topic.Replay(t.Context(), c.from)); got != c.want {
				t.Errorf("from %+v: %q, want %q", c.from, got, c.want)
			}
		}
		for _, from := range []Start{FromPosition(""), FromPosition("x"), FromPosition("1"), FromTime(time.Time{})} {
			for _, err := range r.topic.Replay(t.Context(), from) {
				if !errors.Is(err, ErrInvalid) {
					t.Errorf("from %+v: %v", from, err)
				}
			}
			if _, err := r.topic.Subscribe(t.Context(), "g", From(from)); !errors.Is(err, ErrInvalid) {
				t.Errorf("from %+v: %v", from, err)
			}
		}
		for from, want := range map[Start]int{FromTime(noon): 4, FromPosition(fourth.Position): 5} {
			ack(t, next(t, r.join(fmt.Sprint("from-", want), From(from)), want, 1))
		}
	})
}

func TestFollow(t *testing.T) {
	inBubble(t, func(t *testing.T, b *redistest.Bubble) {
		r := newRig(t, b.Client())
		r.publish(1, 600)
		ctx, cancel := context.WithCancel(t.Context())
		seen := make(chan int, 10_000)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for msg, err := range r.topic.Follow(ctx, FromStart) {
				if err != nil {
					t.Errorf("%v", err)
					return
				}
				seen <- msg.Data.N
			}
		}()
		for n := 1; n <= 600; n++ {
			if got := <-seen; got != n {
				t.Fatalf("got %d, want %d", got, n)
			}
		}
		time.Sleep(10 * time.Second)
		began := time.Now()
		r.publish(601, 601)
		if got := <-seen; got != 601 || time.Since(began) > 10*time.Millisecond {
			t.Errorf("got %d after %v", got, time.Since(began))
		}
		b.Refuse(true)
		b.Cut()
		time.Sleep(time.Minute)
		b.Refuse(false)
		time.Sleep(time.Minute)
		r.publish(602, 602)
		if got := <-seen; got != 602 {
			t.Errorf("after an outage: %d", got)
		}
		cancel()
		<-ended
	})
}

func TestRetention(t *testing.T) {
	inBubble(t, func(t *testing.T, b *redistest.Bubble) {
		r := newRig(t, b.Client(), KeepCount(10))
		r.publish(1, 100)
		if got := numbers(t, r.topic.Replay(t.Context(), FromStart)); got != "91 92 93 94 95 96 97 98 99 100" {
			t.Errorf("kept by count: %s", got)
		}
		aged := newRig(t, b.Client(), KeepFor(time.Minute))
		m := aged.join("g")
		for n := 91; n <= 100; n++ {
			ack(t, next(t, m, n, 1))
		}
		aged.publish(101, 102)
		ack(t, next(t, m, 101, 1))
		late := next(t, m, 102, 1)
		time.Sleep(63 * time.Second)
		if got := numbers(t, r.topic.Replay(t.Context(), FromStart)); got != "" {
			t.Errorf("kept by age, while there is a member: %s", got)
		}
		if err := late.Nack(t.Context(), errors.New("too late")); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		info, err := r.client.Streams().Info(t.Context(), "orders")
		if err != nil || info.Length != 0 || info.KeepFor != time.Minute || info.KeepCount != 0 || !info.First.IsZero() || info.Groups[0].Pending != 0 {
			t.Errorf("%+v, %v", info, err)
		}
		if _, err := NewDurable[order](r.client, "x", KeepCount(0)); !errors.Is(err, ErrInvalid) {
			t.Error(err)
		}
		if _, err := NewDurable[order](r.client, "x", KeepFor(time.Millisecond)); !errors.Is(err, ErrInvalid) {
			t.Error(err)
		}
	})
}

func TestInfoAndDelete(t *testing.T) {
	inBubble(t, func(t *testing.T, b *redistest.Bubble) {
		r := newRig(t, b.Client())
		s := r.client.Streams()
		if _, err := s.Info(t.Context(), "orders"); !errors.Is(err, ErrNotFound) {
			t.Errorf("info of nothing: %v", err)
		}
		first := time.Now()
		r.publish(1, 1)
		time.Sleep(time.Minute)
		r.publish(2, 2500)
		m := r.join("b", Batch(10))
		next(t, m, 1, 1)
		idle := r.join("a", From(FromNow))
		synctest.Wait()
		info, err := s.Info(t.Context(), "orders")
		if err != nil {
			t.Fatal(err)
		}
		taken := info.Groups[1].Pending
		want := []GroupInfo{{Group: "a", Members: 1}, {Group: "b", Members: 1, Lag: 2500 - taken, Pending: taken, OldestPending: time.Minute}}
		if info.Length != 2500 || !info.First.Equal(first) || !info.Last.Equal(first.Add(time.Minute)) || fmt.Sprint(info.Groups) != fmt.Sprint(want) || taken < 1 {
			t.Errorf("%+v, want %+v", info, want)
		}
		if err := s.DeleteGroup(t.Context(), "orders", "a"); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "1 members") {
			t.Errorf("delete of a group in use: %v", err)
		}
		if err := s.Delete(t.Context(), "orders"); !errors.Is(err, ErrInUse) {
			t.Errorf("delete of a topic in use: %v", err)
		}
		idle.Close()
		if err := s.DeleteGroup(t.Context(), "orders", "a"); err != nil {
			t.Error(err)
		}
		if err := s.DeleteGroup(t.Context(), "orders", "a"); !errors.Is(err, ErrNotFound) {
			t.Errorf("deleted twice: %v", err)
		}
		m.Close()
		if err := s.Delete(t.Context(), "orders"); err != nil {
			t.Error(err)
		}
		if err := s.Delete(t.Context(), "orders"); !errors.Is(err, ErrNotFound) {
			t.Errorf("deleted twice: %v", err)
		}
		if left := b.M.Keys(); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
		if _, err := s.Redrive(t.Context(), "orders", "a"); err != nil && !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
		for _, err := range []error{s.Delete(t.Context(), "a b"), s.DeleteGroup(t.Context(), "orders", ""), s.DeleteGroup(t.Context(), "orders", "{")} {
			if !errors.Is(err, ErrInvalid) {
				t.Error(err)
			}
		}
		if _, err := s.Redrive(t.Context(), "orders", "a", "x"); !errors.Is(err, ErrInvalid) {
			t.Error(err)
		}
	})
}

func TestPublishAnywhere(t *testing.T) {
	inBubble(t, func(t *testing.T, b *redistest.Bubble) {
		r := newRig(t, b.Client())
		live, err := NewTopic[order](r.client, "orders")
		if err != nil {
			t.Fatal(err)
		}
		sub, err := live.Subscribe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer sub.Close()
		heard := func(n int) *Message[order] {
			msg, err := sub.Next(t.Context())
			if err != nil || msg.Data.N != n {
				t.Fatalf("live: %+v, %v, want %d", msg, err, n)
			}
			return msg
		}
		own := uuid.New()
		ids, err := r.client.PublishAnywhere(t.Context(), "orders", [][]byte{[]byte(`{"n":1}`)}, MessageID(own), Meta("k", "v"))
		if err != nil || len(ids) != 1 || ids[0] != own {
			t.Fatalf("%v, %v", ids, err)
		}
		if msg := heard(1); msg.ID != own || msg.Meta["k"] != "v" {
			t.Errorf("%+v", msg)
		}
		if keys := b.M.Keys(); len(keys) != 0 {
			t.Fatalf("a live topic left keys: %v", keys)
		}
		m := r.join("g")
		if _, err := r.client.PublishAnywhere(t.Context(), "orders", [][]byte{[]byte(`{"n":2}`), []byte(`{"n":3}`)}); err != nil {
			t.Fatal(err)
		}
		r.publish(4, 4)
		for n := 2; n <= 4; n++ {
			msg := next(t, m, n, 1)
			if msg.ID != heard(n).ID {
				t.Errorf("%d has two ids", n)
			}
			ack(t, msg)
		}
		if _, err := r.client.PublishAnywhere(t.Context(), "any name {of} a channel", [][]byte{nil}); err != nil {
			t.Error(err)
		}
	})
}
