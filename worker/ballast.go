package worker

import (
	"math"
	"runtime/debug"
	"sync"
)

const (
	// ballastEach is how much ballast a slot brings, and ballastMost how much there is at most, in bytes.
	ballastEach = 32 << 10
	ballastMost = 32 << 20
)

// ballast is memory that is held while workers run, and never written to. Go collects when the heap has doubled, and then walks
// the stack of every handler that waits, which took 5 us each on a slow machine. As a worker's own heap is a few MB, a thousand
// handlers of 10 ms were walked 20 to 40 times a second, and late by as much. With the ballast the heap counts as larger, so that
// more garbage gathers first. It takes none of the machine's memory itself, but where Go has some to use again, which it clears.
// Where a memory limit is set there is none: it would count there.
//
// The idea is from Ross Engers, "Go memory ballast", Twitch, 2019.
type ballast struct {
	mu    sync.Mutex
	slots int
	held  []byte
}

// processBallast is of all workers of this process, as the collector is.
var processBallast ballast

// add has the ballast be for so many slots more, or less (below 0). It goes when the last slot does.
func (b *ballast) add(slots int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.slots += slots
	want := min(b.slots, ballastMost/ballastEach) * ballastEach
	switch {
	case want == 0:
		b.held = nil
	case want > len(b.held) && debug.SetMemoryLimit(-1) == math.MaxInt64:
		b.held = nil // both at once are not needed
		b.held = make([]byte, want)
	}
}
