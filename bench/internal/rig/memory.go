package rig

import (
	"runtime"
	"syscall"
)

// PeakMiB is the most memory that this process has had resident, or 0 if that is not known.
func PeakMiB() float64 {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	unit := 1024.0 // KiB, but on macOS
	if runtime.GOOS == "darwin" {
		unit = 1
	}
	return float64(r.Maxrss) * unit / (1 << 20)
}

// Allocations is how many objects this process has allocated so far.
func Allocations() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}

// AllocationsPer turns those since start into a metric for n jobs or messages.
func AllocationsPer(what string, n int, start uint64, prefix string) Metric {
	return Metric{Name: prefix + "allocations", Unit: "1/" + what, Better: Lower, Value: float64(Allocations()-start) / float64(n)}
}
