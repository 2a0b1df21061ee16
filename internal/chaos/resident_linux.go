package chaos

import (
	"fmt"
	"os"
)

// resident is how much memory this process has, in bytes; 0 where the kernel does not tell.
func resident() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	var size, pages int64
	if _, scan := fmt.Sscan(string(text), &size, &pages); err != nil || scan != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
