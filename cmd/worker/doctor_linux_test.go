package main_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/rivo/uniseg"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// What was found fits a terminal, the last line included, which names the command that mends.
func TestDoctorFits(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := open(t, srv.URL())
	id := uuid.New()
	enqueue(t, client, "noop", `{}`, queue.ID(id.String()))
	if err := client.Redis().LRem(t.Context(), "tm:{default}:ready:0", 0, string(id[:])).Err(); err != nil {
		t.Fatal(err)
	}
	code, text := onTerminal(t, 60, []string{"REDIS_URL=" + srv.URL()}, workerPath, "doctor").end()
	if words := strings.Join(strings.Fields(text), " "); code != 1 || !strings.HasSuffix(words, "To mend what can be mended: worker doctor --repair") {
		t.Errorf("exit code %d, and the end is missing:\n%s", code, text)
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		line = line[strings.LastIndexByte(line, '\r')+1:] // over the progress
		if uniseg.StringWidth(line) > 60 {
			t.Errorf("wider than the terminal: %s", line)
		}
	}
}
