//go:build unix

package chaos

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
)

// A process that panics is written down though a fault was about to end it: a SIGTERM would explain its repeats else.
func TestSlotTellsOfPanics(t *testing.T) {
	t.Parallel()
	// Without a TTL a process has no interval to look for stalls at, and panics.
	s := &slot{role: role{Role: roleWorker, URL: "redis://127.0.0.1:1", Dir: t.TempDir()}}
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.now.meant = true
	s.mu.Unlock()
	var fallen []string
	redistest.WaitFor(t, time.Minute, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		fallen = slices.Clone(s.fallen)
		return len(fallen) > 0
	}, "that to be written down")
	if !strings.Contains(fallen[0], "worker-0-1: exit status 2: panic: ") {
		t.Errorf("fallen: %q", fallen)
	}
}
