package budget

import (
	"context"
	"runtime"
	"testing"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// letter has numbers and text alone: reading a float or a list takes a larger stack, whatever is above it.
type letter struct {
	To     int64  `json:"to"`
	Text   string `json:"text"`
	Urgent bool   `json:"urgent"`
}

func (letter) Kind() string { return "letter" }

// Measured: 4.2 KB, of a stack of 4. With frames that are too large between the goroutine's start and the handler it is 8.2 KB.
func TestStackOfAWaitingHandler(t *testing.T) {
	if race {
		t.Skip("the race detector makes frames larger: CI runs this without it")
	}
	const handlers = 2000
	client, err := queue.Open(t.Context(), redistest.Server(t).URL())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.EnqueueMany(t.Context(), queue.Items(make([]letter, handlers))); err != nil {
		t.Fatal(err)
	}
	began, over := make(chan struct{}, handlers), make(chan struct{})
	mux := worker.NewMux()
	worker.Handle(mux, func(context.Context, *queue.Job[letter]) error {
		began <- struct{}{}
		<-over
		return nil
	})
	w, err := worker.New(client, mux, worker.Config{Concurrency: handlers, ExitWhenEmpty: true})
	if err != nil {
		t.Fatal(err)
	}
	before := stacks()
	ended := make(chan error, 1)
	go func() { ended <- w.Run(t.Context()) }()
	for range handlers {
		<-began
	}
	each := float64(stacks()-before) / handlers
	close(over)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if t.Logf("%.0f bytes each", each); each > 6000 {
		t.Errorf("%.0f bytes of stack for each handler that waits, at most 6000", each)
	}
}

// stacks is how many bytes all stacks have, without those that nobody uses any more.
func stacks() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.StackInuse
}
