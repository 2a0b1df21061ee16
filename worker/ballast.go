package worker

import (
	"math"
	"runtime/debug"
)

const (
	// ballastEach is what a slot puts off Go's garbage collector by, and ballastMost what all do, in bytes.
	ballastEach = 32 << 10
	ballastMost = 32 << 20
)

// ballast is memory that nothing touches, so that it takes none of the machine's, held while a worker runs. Go collects when the
// heap has doubled, and walks the stack of every handler that waits: 5 us each on a slow machine. A worker's own heap is a few MB,
// so that a thousand handlers of 10 ms would be walked 20 to 40 times a second, and be late by as much. With the ballast it
// counts as larger, and as much more garbage gathers before. There is none where a memory limit is set: it would count there.
//
// The idea is from Ross Engers, "Go memory ballast", Twitch, 2019.
func ballast(concurrency int) []byte {
	if debug.SetMemoryLimit(-1) != math.MaxInt64 {
		return nil
	}
	return make([]byte, min(concurrency, ballastMost/ballastEach)*ballastEach)
}
