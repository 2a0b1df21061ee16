package pubsub

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
)

// A message that is acknowledged while the member, after a lost reply, looks at what Redis counts as its own, is done: it
// is not taken for one that never arrived.
func TestAckBesideALookAtWhatIsPending(t *testing.T) {
	inBubble(t, func(t *testing.T, b *redistest.Bubble) {
		r := newRig(t, b.Client())
		m := r.join("g", Batch(1))
		r.publish(1, 1)
		msg := next(t, m, 1, 1)
		synctest.Wait() // its read of the next, which might bring 2, is over
		b.DropReplies(redistest.Once(redistest.On("XREADGROUP")))
		release := b.HoldReply(redistest.On("XPENDING"))
		r.publish(2, 2)
		for b.HeldReplies() == 0 {
			time.Sleep(100 * time.Millisecond)
		}
		ack(t, msg)
		time.Sleep(100 * time.Millisecond)
		release()
		ack(t, next(t, m, 2, 1)) // that whose reply was lost; 1 would be before it
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := b.Dropped(); n != 1 {
			t.Errorf("%d replies were lost", n)
		}
		if n := r.client.Stats().Acked; n != 2 {
			t.Errorf("%d acknowledged", n)
		}
	})
}
