//go:build !linux

package loop

import "time"

// exact is a timer that is more exact than the runtime's: here there is none.
type exact struct{}

func newExact(func()) *exact { return nil }

func (*exact) set(time.Duration) {}

func (*exact) close() {}
