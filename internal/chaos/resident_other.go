//go:build !linux

package chaos

import "runtime"

// resident is how much memory the Go runtime has from the system, in bytes: the nearest that is portable.
func resident() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.Sys - m.HeapReleased)
}
