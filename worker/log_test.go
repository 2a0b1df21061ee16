package worker

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/queue"
)

func TestHandlersLogger(t *testing.T) {
	w := bench(t, Config{})
	var book logBook
	w.log = zerolog.New(&book)
	info := &queue.Info{ID: uuid.New(), Queue: "q", Kind: "k", Attempt: 3, Key: "mine"}
	ctx, cancel := context.WithCancel(&jobContext{w: w, info: info})
	defer cancel()
	zerolog.Ctx(ctx).Warn().Err(errors.New("hot")).Msg("said by the handler")
	lines := book.find("said by the handler")
	if len(lines) != 1 {
		t.Fatalf("%v", book.lines)
	}
	for field, want := range map[string]any{"queue": "q", "kind": "k", "job_id": info.ID.String(), "attempt": 3.0, "key": "mine", "error": "hot"} {
		if lines[0][field] != want {
			t.Errorf("%s is %v, want %v", field, lines[0][field], want)
		}
	}
}

// A kind without a handler is told of once, and the memory of it is bounded.
func TestUnknownKindsAreToldOnce(t *testing.T) {
	w := bench(t, Config{})
	var book logBook
	w.log, w.unknown = zerolog.New(&book), make(map[string]time.Time)
	for range 3 {
		w.tellUnknown("a", "q")
		w.tellUnknown("b", "q")
	}
	if got := len(book.find("no handler for this kind")); got != 2 {
		t.Errorf("%d lines for 2 kinds", got)
	}
	for range 2000 {
		w.tellUnknown(uuid.NewString(), "q")
	}
	if len(w.unknown) > 1000 {
		t.Errorf("%d kinds are kept", len(w.unknown))
	}
}
