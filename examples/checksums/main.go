// Checksums is a worker that hashes files: one job a file, named by kind checksum.file with {"path": "..."}. Each result
// is a line as sha256sum writes it, appended to -out. It ends when the queue is empty. run.sh beside it runs the whole
// thing and holds the result against sha256sum.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"syscall"

	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// File is the args of a job.
type File struct {
	Path string `json:"path"`
}

// Kind names the job.
func (File) Kind() string { return "checksum.file" }

func main() {
	out := flag.String("out", "checksums.txt", "file that results are appended to")
	concurrency := flag.Int("concurrency", 8, "files hashed at once")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *out, *concurrency); err != nil {
		fmt.Fprintln(os.Stderr, "checksums:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, path string, concurrency int) error {
	// O_APPEND: each line is one write, so a crash leaves whole lines only, and a second process may go on beside it.
	results, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer results.Close()
	log := zerolog.New(os.Stderr).Level(zerolog.InfoLevel).With().Timestamp().Logger()
	client, err := queue.Open(ctx, os.Getenv("REDIS_URL"), queue.Config{Logger: log})
	if err != nil {
		return err
	}
	defer client.Close()

	mux := worker.NewMux()
	worker.Handle(mux, func(_ context.Context, job *queue.Job[File]) error {
		return checksum(results, job.Args.Path)
	})
	w, err := worker.New(client, mux, worker.Config{
		Queues: []worker.Queue{{Name: "checksums"}}, Concurrency: concurrency, ExitWhenEmpty: true,
	})
	if err != nil {
		return err
	}
	return w.Run(ctx)
}

// checksum writes a file's line. A file that is gone will not come back, so trying again is no use.
func checksum(results io.Writer, path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return queue.Dead(err)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	_, err = fmt.Fprintf(results, "%s  %s\n", hex.EncodeToString(h.Sum(nil)), path)
	return err
}
