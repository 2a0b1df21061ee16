package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

type Resize struct {
	URL   string `json:"url"`
	Width int    `json:"width"`
}

func (Resize) Kind() string { return "image.resize" }

func resize(ctx context.Context, job *queue.Job[Resize]) error {
	fmt.Printf("resizing %s to %d px\n", job.Args.URL, job.Args.Width)
	return nil // an error retries with backoff; queue.Dead(err) gives up
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	client, err := queue.Open(ctx, os.Getenv("REDIS_URL")) // or queue.New(rdb) around a client you have
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	if _, err := client.Enqueue(ctx, Resize{"a.png", 64}, queue.Queue("images")); err != nil {
		log.Fatal(err)
	}
	if _, err := client.Enqueue(ctx, Resize{"b.png", 128}, queue.Queue("images"), queue.In(500*time.Millisecond)); err != nil {
		log.Fatal(err)
	}

	mux := worker.NewMux()
	worker.Handle(mux, resize)
	w, err := worker.New(client, mux, worker.Config{Queues: []worker.Queue{{Name: "images"}}, ExitWhenEmpty: true})
	if err != nil {
		log.Fatal(err)
	}
	if err := w.Run(ctx); err != nil { // blocks; nil after a clean drain
		log.Fatal(err)
	}
}
