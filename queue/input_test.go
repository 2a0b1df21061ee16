package queue_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// numbered is a batch of jobs with the places from..to; each fifth one goes to the queue "fives".
func numbered(from, to int) (places []uint64, items []queue.Item) {
	for i := from; i <= to; i++ {
		item := queue.Item{Args: email{fmt.Sprint(i)}}
		if i%5 == 0 {
			item.Options = []queue.Option{queue.Queue("fives")}
		}
		places, items = append(places, uint64(i)), append(items, item)
	}
	return places, items
}

func input(t testing.TB, c *queue.Client, id uuid.UUID, run int, opened func(string, uint64) error) *queue.Input {
	t.Helper()
	in, err := c.Input(id, run, opened)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// verdicts counts the results: created, already in, other errors.
func verdicts(results []queue.Result) (created, already, failed int) {
	for _, r := range results {
		switch {
		case r.Err == nil:
			created++
		case errors.Is(r.Err, queue.ErrAlreadyIn):
			already++
		default:
			failed++
		}
	}
	return created, already, failed
}

// A run that begins anywhere before the place where the last one ended adds nothing twice, and says what was in.
func TestInputTakenUp(t *testing.T) {
	everywhere(t, func(t *testing.T, c *queue.Client) {
		id := uuid.New()
		var opened []string
		note := func(name string, place uint64) error {
			opened = append(opened, fmt.Sprint(name, place))
			return nil
		}
		first := input(t, c, id, 1, note)
		places, items := numbered(1, 2503)
		results, err := first.EnqueueMany(t.Context(), places, items)
		if err != nil || len(results) != 2503 || results[7].ID == uuid.Nil {
			t.Fatal(len(results), err)
		}
		if got := first.Places(); got["default"] != 2503 || got["fives"] != 2500 || len(got) != 2 {
			t.Errorf("places %v", got)
		}
		second := input(t, c, id, 2, note)
		for name, want := range map[string]uint64{"fives": 2500, "other": 0} {
			if place, known, err := second.Resume(t.Context(), name); err != nil || place != want || known != (want > 0) {
				t.Errorf("%s is at %d, known=%v, %v", name, place, known, err)
			}
		}
		places, items = numbered(2001, 4000)
		results, err = second.EnqueueMany(t.Context(), places, items)
		if !errors.Is(err, queue.ErrAlreadyIn) {
			t.Error(err)
		}
		if created, already, failed := verdicts(results); created != 1497 || already != 503 || failed != 0 {
			t.Errorf("created %d, already in %d, failed %d", created, already, failed)
		}
		if want := []string{"default0", "fives0", "default2503"}; fmt.Sprint(opened) != fmt.Sprint(want) {
			t.Errorf("opened %v, want %v", opened, want)
		}
		expectReady(t, c, "default", 3200)
		expectReady(t, c, "fives", 800)
		// The run before is over.
		places, items = numbered(5001, 5001)
		if results, err := first.EnqueueMany(t.Context(), places, items); !errors.Is(err, queue.ErrConflict) || !errors.Is(results[0].Err, queue.ErrConflict) {
			t.Error(err)
		}
		if _, _, err := input(t, c, id, 1, nil).Resume(t.Context(), "default"); !errors.Is(err, queue.ErrConflict) {
			t.Errorf("an older run begins: %v", err)
		}
		expectReady(t, c, "default", 3200)
	})
}

// The order of a queue's jobs is that of the input, whatever the calls.
func TestInputKeepsOrder(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		c, p := behind(t, srv)
		in := input(t, c, uuid.New(), 1, nil)
		p.DropReply(someOf(scripts))
		var want []string
		for from := 1; from <= 9000; from += 3000 {
			places, items := numbered(from, from+2999)
			results, err := in.EnqueueMany(t.Context(), places, items)
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range results {
				if places[i]%5 != 0 {
					want = append(want, string(r.ID[:]))
				}
			}
		}
		p.DropReply(nil)
		expectReady(t, c, "default", 7200)
		got := redistest.Client(t, srv).LRange(t.Context(), "tm:{default}:ready:0", 0, -1).Val()
		if !slices.Equal(got, want) {
			t.Error("the jobs are not in order")
		}
		if p.Dropped() == 0 {
			t.Error("no reply was lost: this shows nothing")
		}
	})
}

// The call of a run that was cut off arrives when the next one has begun: it comes to nothing, and its jobs are added by
// the next one. When it arrives before, the next one passes them by.
func TestInputLateCalls(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		for _, early := range []bool{false, true} {
			t.Run(fmt.Sprintf("early=%v", early), func(t *testing.T) {
				name := fmt.Sprintf("late-%v", early)
				direct := open(t, srv.URL())
				c, p := behind(t, srv)
				id := uuid.New()
				first := input(t, c, id, 1, nil)
				send := func(ctx context.Context, in *queue.Input, from, to int) ([]queue.Result, error) {
					places, items := numbered(from, to)
					for i := range items {
						items[i].Options = nil
					}
					return in.EnqueueMany(ctx, places, items, queue.Queue(name))
				}
				if _, err := send(t.Context(), first, 1, 100); err != nil {
					t.Fatal(err)
				}
				release := p.HoldRequest(scripts)
				cut := make(chan error, 1)
				go func() { _, err := send(t.Context(), first, 101, 200); cut <- err }()
				redistest.WaitFor(t, soon, func() bool { return p.Held() == 1 }, "the call under way")
				second := input(t, direct, id, 2, nil)
				want := 100
				if early {
					release()
					if err := <-cut; err != nil {
						t.Error(err)
					}
					want = 0
				}
				if place, known, err := second.Resume(t.Context(), name); err != nil || !known || place != uint64(200-want) {
					t.Fatal(place, known, err)
				}
				if !early {
					release()
					if err := <-cut; !errors.Is(err, queue.ErrConflict) {
						t.Errorf("a late call: %v", err)
					}
				}
				results, _ := send(t.Context(), second, 101, 200)
				if created, already, _ := verdicts(results); created != want || already != 100-want {
					t.Errorf("created %d, already in %d, want %d", created, already, want)
				}
				if results, err := send(t.Context(), second, 201, 300); err != nil || len(results) != 100 {
					t.Error(err)
				}
				expectReady(t, direct, name, 300)
			})
		}
	})
}

// A run that does not know what became of a call adds nothing more to that queue: the next run finds out.
func TestInputUnsure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(func() { time.Sleep(3 * time.Second) })
		b := redistest.NewBubble(t)
		c, direct, id := around(t, b.Client()), around(t, b.Client()), uuid.New()
		first := input(t, c, id, 1, nil)
		places, items := numbered(1, 4)
		if _, err := first.EnqueueMany(t.Context(), places, items); err != nil {
			t.Fatal(err)
		}
		b.DropReplies(scripts)
		places, items = numbered(6, 9)
		if _, err := first.EnqueueMany(t.Context(), places, items); !errors.Is(err, queue.ErrOutcomeUnknown) {
			t.Fatal(err)
		}
		b.DropReplies(nil)
		places, items = numbered(11, 14)
		if _, err := first.EnqueueMany(t.Context(), places, items); !errors.Is(err, queue.ErrOutcomeUnknown) {
			t.Errorf("it goes on: %v", err)
		}
		places, items = numbered(6, 14)
		results, _ := input(t, direct, id, 2, nil).EnqueueMany(t.Context(), places, items)
		if created, already, failed := verdicts(results); created != 5 || already != 4 || failed != 0 {
			t.Errorf("created %d, already in %d, failed %d", created, already, failed)
		}
	})
}

// A failed call takes those behind it in its queue along, so that no gap is left; the other queues go on.
func TestInputLeavesNoGaps(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		c, rdb := open(t, srv.URL()), redistest.Client(t, srv)
		id := uuid.New()
		in := input(t, c, id, 1, nil)
		places, items := numbered(1, 1)
		if _, err := in.EnqueueMany(t.Context(), places, items); err != nil {
			t.Fatal(err)
		}
		places, items = numbered(2, 4001)
		rdb.ConfigSet(t.Context(), "maxmemory", "1")
		results, err := in.EnqueueMany(t.Context(), places, items)
		if created, _, failed := verdicts(results); !errors.Is(err, queue.ErrRedisFull) || created != 0 || failed != 4000 {
			t.Errorf("on a full Redis: %d created, %d failed, %v", created, failed, err)
		}
		rdb.ConfigSet(t.Context(), "maxmemory", "0")
		rdb.Rename(t.Context(), "tm:{fives}:jobs", "aside")
		rdb.Set(t.Context(), "tm:{fives}:jobs", "x", 0)
		results, err = in.EnqueueMany(t.Context(), places, items)
		if created, _, failed := verdicts(results); err == nil || created != 3200 || failed != 800 {
			t.Errorf("with one bad queue: %d created, %d failed, %v", created, failed, err)
		}
		rdb.Del(t.Context(), "tm:{fives}:jobs")
		results, _ = in.EnqueueMany(t.Context(), places, items)
		if created, already, failed := verdicts(results); created != 800 || already != 3200 || failed != 0 {
			t.Errorf("mended: %d created, %d already in, %d failed", created, already, failed)
		}
		expectReady(t, c, "default", 3201)
		expectReady(t, c, "fives", 800)
	})
}

// While Redis refuses connections nothing is unsure: the run goes on when it is back.
func TestInputWhileRedisIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, b := refusing(t)
		in := input(t, c, uuid.New(), 1, nil)
		time.AfterFunc(2*time.Second, func() { b.Refuse(false) })
		places, items := numbered(1, 1000)
		if _, err := in.EnqueueMany(t.Context(), places, items); err != nil {
			t.Fatal(err)
		}
		if n := counts(t, c, "fives"); n.Ready != 200 {
			t.Errorf("%+v", n)
		}
	})
}
