// Command webapp is a small web service that enqueues a job for each sign-up. It opens one client at start, shares it
// between all requests, and closes it after the last of them; with -worker it also runs the jobs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// config is what the flags say.
type config struct {
	listen string
	redis  string
	// patience is how long a request waits for Redis: the client would try for longer than a browser should wait.
	patience time.Duration
	serve    bool // HTTP
	work     bool // the jobs
	mailer   mailer
	log      zerolog.Logger
	ready    func(addr string) // called once the service listens; may be nil
}

func main() {
	c := config{serve: true, patience: 3 * time.Second, log: zerolog.New(os.Stderr).With().Timestamp().Logger()}
	c.mailer = func(_ context.Context, to string) error {
		c.log.Info().Str("to", to).Msg("welcome mail sent") // a program of yours would send it
		return nil
	}
	flag.StringVar(&c.listen, "listen", "127.0.0.1:8080", "address to serve HTTP on")
	flag.StringVar(&c.redis, "redis", os.Getenv("REDIS_URL"), "URL of Redis; empty = "+queue.DefaultURL)
	flag.BoolVar(&c.work, "worker", false, "also run the jobs in this process")
	only := flag.Bool("worker-only", false, "run the jobs and serve no HTTP")
	flag.Parse()
	if *only {
		c.serve, c.work = false, true
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, c); err != nil {
		fmt.Fprintln(os.Stderr, "webapp:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends. The order of its end matters: no new requests, those under way are answered, the worker
// drains, and only then is the client closed.
func run(ctx context.Context, c config) error {
	client, err := queue.Open(ctx, c.redis, queue.Config{Logger: c.log})
	if err != nil {
		return err
	}
	defer client.Close()
	services, ctx := errgroup.WithContext(ctx)
	if c.serve {
		listener, err := net.Listen("tcp", c.listen)
		if err != nil {
			return err
		}
		services.Go(func() error {
			return serve(ctx, listener, (&app{client: client, log: c.log, patience: c.patience}).routes())
		})
		if c.ready != nil {
			c.ready(listener.Addr().String())
		}
		c.log.Info().Str("listen", listener.Addr().String()).Msg("serving")
	}
	if c.work {
		mux := worker.NewMux()
		worker.Handle(mux, c.mailer.welcome)
		w, err := worker.New(client, mux, worker.Config{Queues: []worker.Queue{{Name: mailQueue}}})
		if err != nil {
			return err
		}
		services.Go(func() error { return w.Run(ctx) })
	}
	return services.Wait()
}

// serve answers requests until ctx ends, and then those that are under way.
func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := server.Shutdown(limit)
	if served := <-done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
