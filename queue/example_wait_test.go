package queue_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// Wait for a job's end and read its result. Notify saves the looking each second, Retain keeps what there is to read.
func ExampleClient_Wait() {
	client, ctx := exampleClient(), context.Background()
	defer client.Close()
	work, end := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { // in a process of its own, mostly
		defer close(done)
		mux := worker.NewMux()
		mux.HandleKind("greet", func(_ context.Context, job *queue.Job[queue.Raw]) error {
			return job.SetResult([]byte("hello " + string(job.Args.Payload)))
		})
		w, err := worker.New(client, mux, worker.Config{Queues: []worker.Queue{{Name: "greetings"}}})
		if err == nil {
			err = w.Run(work)
		}
		if err != nil {
			log.Print(err)
		}
	}()
	defer func() { end(); <-done }()

	id, err := client.Enqueue(ctx, queue.Raw{Name: "greet", Payload: []byte("Ann")}, queue.Queue("greetings"), queue.Notify(), queue.Retain(time.Minute))
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	job, err := client.Wait(ctx, "greetings", id.String())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(job.State, string(job.Result))
	// Output: succeeded hello Ann
}

// Enqueue the lines of a file once each, though the program was killed on the way and knows nothing but the input's id.
func ExampleClient_Input() {
	client, ctx := exampleClient(), context.Background()
	defer client.Close()
	id := uuid.New() // kept in a file or a database, as are the number of the run and the queues in use
	read := func(run int, text string) {
		input, err := client.Input(id, run, nil)
		if err != nil {
			log.Fatal(err)
		}
		lines := bufio.NewScanner(strings.NewReader(text))
		for n := uint64(1); lines.Scan(); n++ {
			item := queue.Item{Args: queue.Raw{Name: "greet", Payload: lines.Bytes()}, Options: []queue.Option{queue.Queue("lines")}}
			results, err := input.EnqueueMany(ctx, []uint64{n}, []queue.Item{item})
			if err != nil && !errors.Is(err, queue.ErrAlreadyIn) {
				log.Fatal(err)
			}
			fmt.Println("run", run, "line", n, "already in:", errors.Is(results[0].Err, queue.ErrAlreadyIn))
		}
	}
	read(1, "Ann\nBob\n")
	read(2, "Ann\nBob\nCid\n")
	// Output:
	// run 1 line 1 already in: false
	// run 1 line 2 already in: false
	// run 2 line 1 already in: true
	// run 2 line 2 already in: true
	// run 2 line 3 already in: false
}
