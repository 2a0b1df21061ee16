package rig

import (
	"os"
	"path/filepath"
	"testing"
)

func TestProcessTicks(t *testing.T) {
	file := filepath.Join(t.TempDir(), "stat")
	line := "42 (odd) name)) S 7 42 42 0 -1 4194560 1 2 3 4 10 20 300 4000 20 0 1 0"
	if err := os.WriteFile(file, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	for children, want := range map[bool]int64{false: 30, true: 4330} {
		ticks, parent, err := processTicks(file, children)
		if err != nil || ticks != want || parent != 7 {
			t.Errorf("children %v: %d ticks, parent %d, %v; want %d and 7", children, ticks, parent, err, want)
		}
	}
}
