package rig

import (
	"sync"
	"testing"
	"time"
)

// TestPauses: none ends early, and all end, those that begin together and those that begin while others wait.
func TestPauses(t *testing.T) {
	const length = 3 * time.Millisecond
	p := NewPauses(length)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			for range 5 {
				began := time.Now()
				p.Pause()
				if passed := time.Since(began); passed < length {
					t.Errorf("a pause of %v was over after %v", length, passed)
				}
			}
		})
	}
	all.Wait()
}
