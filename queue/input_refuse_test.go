package queue_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/queue"
)

// An item that cannot be sent, and a duplicate, are decided: they are no gap.
func TestInputDecides(t *testing.T) {
	everywhere(t, func(t *testing.T, c *queue.Client) {
		in := input(t, c, uuid.New(), 1, nil)
		places, items := numbered(1, 4)
		items[1].Options = []queue.Option{queue.Priority(10)}
		items[0].Options, items[2].Options = []queue.Option{queue.ID("same")}, []queue.Option{queue.ID("same")}
		results, err := in.EnqueueMany(t.Context(), places, items)
		if err == nil || results[0].Err != nil || !errors.Is(results[1].Err, queue.ErrInvalid) || !errors.Is(results[2].Err, queue.ErrDuplicate) || results[3].Err != nil {
			t.Errorf("%+v, %v", results, err)
		}
		if got := in.Places()["default"]; got != 4 {
			t.Errorf("the queue is at %d", got)
		}
	})
}

func TestInputRefuses(t *testing.T) {
	everywhere(t, func(t *testing.T, c *queue.Client) {
		for want, run := range map[string]int{"run: 0; allowed: 1 to 8191": 0, "run: 8192; allowed: 1 to 8191": 8192} {
			if _, err := c.Input(uuid.New(), run, nil); !errors.Is(err, queue.ErrInvalid) || !strings.Contains(err.Error(), want) {
				t.Error(err)
			}
		}
		if _, err := c.Input(uuid.Nil, 1, nil); !errors.Is(err, queue.ErrInvalid) {
			t.Error(err)
		}
		in := input(t, c, uuid.New(), 1, nil)
		_, items := numbered(1, 2)
		for _, places := range [][]uint64{{1}, {0, 1}, {2, 2}, {2, 1}, {1, queue.MaxInputPlace + 1}} {
			if _, err := in.EnqueueMany(t.Context(), places, items); !errors.Is(err, queue.ErrInvalid) {
				t.Errorf("%v: %v", places, err)
			}
		}
		if _, err := in.EnqueueMany(t.Context(), nil, nil); !errors.Is(err, queue.ErrInvalid) {
			t.Error(err)
		}
		if _, _, err := in.Resume(t.Context(), "a b"); !errors.Is(err, queue.ErrInvalid) {
			t.Error(err)
		}
		// Who cannot write down that a queue is used must not use it.
		no := errors.New("the disk is full")
		in = input(t, c, uuid.New(), 1, func(string, uint64) error { return no })
		if results, err := in.EnqueueMany(t.Context(), []uint64{1, 2}, items); !errors.Is(err, no) || !errors.Is(results[1].Err, no) {
			t.Error(err)
		}
		if n := counts(t, c, "default"); n.Enqueued != 0 {
			t.Errorf("%+v", n)
		}
	})
}
