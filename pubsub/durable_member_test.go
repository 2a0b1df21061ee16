package pubsub

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
)

func runtimeGoexit() { runtime.Goexit() }

// The messages of a member whose process is gone come to another within its TTL and 1 s; those of one that is only slow do not.
func TestDeadAndSlow(t *testing.T) {
	for _, ttl := range []time.Duration{2 * time.Second, 6 * time.Second, time.Minute} {
		t.Run(ttl.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *redistest.Bubble) {
				died, slow, other := newRig(t, b.Client()), newRig(t, b.Client()), newRig(t, b.Client())
				first := died.join("g", MemberTTL(ttl), Batch(3))
				died.publish(1, 3)
				next(t, first, 1, 1)
				second := slow.join("g", MemberTTL(ttl), Batch(1))
				died.publish(4, 5)
				held := next(t, second, 4, 1)
				third := other.join("g", MemberTTL(ttl))
				time.Sleep(10 * time.Minute)
				first.m.silence()
				began := time.Now()
				for n := 1; n <= 3; n++ {
					ack(t, next(t, third, n, 2))
				}
				if took := time.Since(began); took > ttl+time.Second || took < ttl*2/3-2*time.Second {
					t.Errorf("taken over after %v", took)
				}
				ack(t, held)
				ack(t, next(t, second, 5, 1))
				synctest.Wait()
				if g := other.group("g"); g.Pending != 0 || g.Members != 2 {
					t.Errorf("%+v", g)
				}
			})
		})
	}
}

// silence stops all that a member sends, as the death of its process does.
func (m *member) silence() {
	m.mu.Lock()
	m.closing = true
	m.mu.Unlock()
	m.end()
	m.running.Wait()
	m.settle.Set()
	<-m.settled
	close(m.gone)
	m.hints.Close()
	m.client.removeMember(m)
}

// What a member has that leaves is others' at once, and counts as no attempt.
func TestCloseGivesBackAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, b *redistest.Bubble) {
		leaves, stays := newRig(t, b.Client()), newRig(t, b.Client())
		first := leaves.join("g", Batch(10))
		leaves.publish(1, 10)
		ack(t, next(t, first, 1, 1))
		late := next(t, first, 2, 1)
		second := stays.join("g")
		time.Sleep(5 * time.Minute)
		began := time.Now()
		first.Close()
		for n := 2; n <= 10; n++ {
			ack(t, next(t, second, n, 1))
		}
		if took := time.Since(began); took > 50*time.Millisecond {
			t.Errorf("after %v", took)
		}
		if err := late.Ack(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("ack after close: %v", err)
		}
		if _, err := first.Next(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("next after close: %v", err)
		}
		first.Close()
		synctest.Wait()
		if g := stays.group("g"); g.Pending != 0 || g.Members != 1 {
			t.Errorf("%+v", g)
		}
	})
}

// An outage of Redis makes nobody lose its messages, however long it takes.
func TestOutageExpiresNobody(t *testing.T) {
	inBubble(t, func(t *testing.T, b *redistest.Bubble) {
		r, other := newRig(t, b.Client()), newRig(t, b.Client())
		m := r.join("g", Batch(5))
		r.publish(1, 5)
		msg := next(t, m, 1, 1)
		second := other.join("g")
		b.Refuse(true)
		b.Cut()
		time.Sleep(5 * time.Minute)
		ack(t, msg)
		b.Refuse(false)
		time.Sleep(time.Minute)
		for n := 2; n <= 5; n++ {
			ack(t, next(t, m, n, 1))
		}
		r.publish(6, 6)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		go func() {
			if msg, err := m.Next(ctx); err == nil {
				_ = msg.Ack(ctx)
			}
		}()
		if msg, err := second.Next(ctx); err == nil {
			_ = msg.Ack(ctx)
		}
		synctest.Wait()
		if n := r.client.Stats(); n.Acked < 5 || n.Redelivered > 0 {
			t.Errorf("%+v", n)
		}
		if n := other.client.Stats(); n.Redelivered > 0 {
			t.Errorf("%+v", n)
		}
	})
}

// Replies to any of a member's calls may be lost: every message comes all the same.
func TestMemberLosesReplies(t *testing.T) {
	for _, lost := range [][]string{{"XREADGROUP"}, {"EVALSHA"}, {"XREADGROUP", "XPENDING", "XRANGE", "EVALSHA"}} {
		t.Run(strings.Join(lost, "+"), func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *redistest.Bubble) {
				publisher, r := newRig(t, b.Client()), newRig(t, b.Client())
				m := r.join("g", Backoff(time.Second, time.Second))
				n := 0
				publisher.publish(1, 40)
				b.DropReplies(func(cmd string, _ []string) bool {
					if n >= 30 || !slices.Contains(lost, cmd) {
						return false
					}
					n++
					return n%3 == 1
				})
				seen := make(map[int]int)
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
				defer cancel()
				for len(seen) < 40 {
					msg, err := m.Next(ctx)
					if err != nil {
						t.Fatalf("%v; seen %v", err, seen)
					}
					if seen[msg.Data.N]++; msg.Data.N%5 == 0 && msg.Attempt == 1 {
						_ = msg.Nack(ctx, errors.New("once"))
						delete(seen, msg.Data.N)
					} else {
						_ = msg.Ack(ctx)
					}
				}
				b.DropReplies(nil)
				time.Sleep(time.Minute)
				if g := r.group("g"); g.Pending != 0 || g.Lag != 0 || g.Dead != 0 {
					t.Errorf("%+v", g)
				}
				if b.Dropped() == 0 {
					t.Error("no reply was lost")
				}
			})
		})
	}
}

// A session that is over is begun anew; what the old one had comes again, and its late acknowledgements count.
func TestSessionLost(t *testing.T) {
	inBubble(t, func(t *testing.T, b *redistest.Bubble) {
		r := newRig(t, b.Client())
		m := r.join("g", Batch(4))
		r.publish(1, 4)
		held, given, back := next(t, m, 1, 1), next(t, m, 2, 1), next(t, m, 3, 1)
		g, _ := m.m.self()
		if _, err := b.M.ZAdd(g.Topic.Members("g"), -1, g.Session); err != nil { // as another member does that holds it for dead
			t.Fatal(err)
		}
		ack(t, held) // done is done
		time.Sleep(3 * time.Second)
		if err := given.Ack(t.Context()); !errors.Is(err, ErrSessionLost) {
			t.Errorf("ack: %v", err)
		}
		if err := back.Nack(t.Context(), errors.New("x")); !errors.Is(err, ErrSessionLost) {
			t.Errorf("nack: %v", err)
		}
		var came []int
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			msg, err := m.Next(ctx)
			cancel()
			if err != nil {
				t.Fatal(err)
			}
			came = append(came, msg.Data.N)
			ack(t, msg)
		}
		if slices.Sort(came); !slices.Equal(came, []int{2, 3, 4}) {
			t.Errorf("came again: %v", came)
		}
		synctest.Wait()
		if g := r.group("g"); g.Pending != 0 || g.Members != 1 {
			t.Errorf("%+v", g)
		}
	})
}

// A message that kills its consumers is given up, and costs no other its attempts: what saw two die is taken one at a time.
func TestPoisonKillsThree(t *testing.T) {
	inBubble(t, func(t *testing.T, b *redistest.Bubble) {
		publisher := newRig(t, b.Client())
		publisher.publish(1, 20)
		done := make(map[int]bool)
		for life := 1; life <= 8 && len(done) < 19; life++ {
			r := newRig(t, b.Client())
			m := r.join("g", Batch(20), MaxAttempts(1))
			for {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				msg, err := m.Next(ctx)
				cancel()
				if err != nil {
					break
				}
				if msg.Data.N == 7 {
					m.m.silence()
					break
				}
				ack(t, msg)
				done[msg.Data.N] = true
			}
		}
		dead := publisher.dead("g")
		if len(done) != 19 || len(dead) != 1 || string(dead[0].Data) != `{"n":7}` {
			t.Errorf("done: %d, dead: %v", len(done), dead)
		}
	})
}

// Where Redis lost the group, members make it anew and go on.
func TestRedisLosesAll(t *testing.T) {
	inBubble(t, func(t *testing.T, b *redistest.Bubble) {
		r := newRig(t, b.Client())
		m := r.join("g", From(FromNow))
		r.publish(1, 1)
		ack(t, next(t, m, 1, 1))
		b.M.FlushAll()
		r.publish(2, 3)
		for n := 2; n <= 3; n++ {
			ack(t, next(t, m, n, 1))
		}
		names, err := r.client.Streams().List(t.Context())
		if err != nil || fmt.Sprint(names) != "[orders]" {
			t.Errorf("%v, %v", names, err)
		}
	})
}
