package loop

import (
	"context"
	"fmt"
	"time"
)

// Sleep waits for d, or until ctx ends: then it returns the cause of that end
// at once. A d of 0 or less does not wait, yet still reports an ended ctx.
func Sleep(ctx context.Context, d time.Duration) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Every calls fn each d, first after d has passed, until ctx ends (it returns
// nil) or fn fails (it returns fn's error). Calls never overlap; ticks that pass
// while fn runs are merged into one. A d of 0 or less is an error.
func Every(ctx context.Context, d time.Duration, fn func(context.Context) error) error {
	if d <= 0 {
		return fmt.Errorf("loop: every: interval is %v, must be above 0", d)
	}
	ticker := time.NewTicker(d)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if ctx.Err() != nil { // both were ready: an ended ctx wins
			return nil
		}
		if err := fn(ctx); err != nil {
			return err
		}
	}
}
