package queue

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
)

// Only who enqueues the very job again waits, and no longer than a late call can be carried out.
func TestDoubts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d doubts
		made := func(n byte) broker.Item { return broker.Item{ID: uuid.UUID{n}, Made: true} }
		waits := func(item broker.Item, want time.Duration) {
			t.Helper()
			began := time.Now()
			if err := d.settled(t.Context(), &item); err != nil || time.Since(began) != want {
				t.Errorf("job %d: waited for %v, want %v, %v", item.ID[0], time.Since(began), want, err)
			}
		}
		again := func(n byte) broker.Item { return broker.Item{ID: uuid.UUID{n}} }
		waits(again(1), 0)
		d.add(made(1), made(2), again(3))
		waits(made(1), 0) // another one, as nobody makes an id twice
		waits(again(3), 0)
		waits(again(4), 0)
		time.Sleep(broker.DirectFor / 4)
		d.add(made(5))
		waits(again(1), broker.DirectFor*3/4)
		waits(again(2), 0)
		waits(again(5), broker.DirectFor/4)

		d.add(made(6))
		ctx, cancel := context.WithTimeout(t.Context(), broker.DirectFor/2)
		defer cancel()
		item := again(6)
		if err := d.settled(ctx, &item); err != context.DeadlineExceeded {
			t.Errorf("its time is over: %v", err)
		}
		time.Sleep(broker.DirectFor)
		if waits(again(7), 0); len(d.when) > 0 || d.some.Load() {
			t.Errorf("%d are kept", len(d.when))
		}
	})
}
