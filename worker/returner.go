package worker

import (
	"context"
	"time"

	"github.com/tidemill/tidemill/internal/loop"
)

// bufferFor is how long a job may wait here for a slot before it goes back for others.
const bufferFor = 20 * time.Millisecond

// returns gives back what was fetched ahead and could not be started soon, until ctx ends. It sleeps while nothing is.
func (w *Worker) returns(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.fetched.C():
		}
		for wait := bufferFor; wait > 0; wait = w.giveBackOld() {
			if loop.Sleep(ctx, wait) != nil {
				return nil
			}
		}
	}
}

// giveBackOld gives back what waited too long and answers when to look again, 0 when nothing waits.
func (w *Worker) giveBackOld() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	w.giveBackLocked(func(r *run) bool { return now.Sub(r.batch.at) >= bufferFor })
	if len(w.buffer) == 0 {
		return 0
	}
	return max(bufferFor-now.Sub(w.buffer[0].batch.at), time.Millisecond)
}
