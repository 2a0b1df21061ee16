package loop

// Trigger is a wake-up that coalesces: any number of Set calls before the
// waiter looks make one wake-up, and a Set that comes while the waiter is busy
// is kept. Safe for concurrent use; with several waiters one of them wakes.
type Trigger struct{ c chan struct{} }

// NewTrigger returns a Trigger that is not set.
func NewTrigger() *Trigger { return &Trigger{c: make(chan struct{}, 1)} }

// Set wakes the waiter now, or the next one to come. It never blocks.
func (t *Trigger) Set() {
	select {
	case t.c <- struct{}{}:
	default:
	}
}

// C returns the channel to wait on; receiving from it clears the trigger.
func (t *Trigger) C() <-chan struct{} { return t.c }
