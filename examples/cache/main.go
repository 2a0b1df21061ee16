// Command cache is a shop of several servers with a slow database. Each keeps what it has read in a cache of its own; who
// changes a value tells the others by pub/sub. A table shows each second what that saves, and whether anything is stale.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/tidemill/tidemill/internal/devserver"
)

// config is what the flags say.
type config struct {
	redis   string
	servers int
	readers int           // of each server
	keys    int           // values there are
	change  time.Duration // between two changes
	slow    time.Duration // a read of the database
	keep    time.Duration // a value is believed
	run     time.Duration
	out     io.Writer
}

func main() {
	c := config{out: os.Stdout}
	flag.StringVar(&c.redis, "redis", os.Getenv("REDIS_URL"), "URL of Redis; empty = one in this process, for trying it out")
	flag.IntVar(&c.servers, "servers", 3, "servers, each with a cache and connections of its own")
	flag.IntVar(&c.readers, "readers", 20, "readers of each server")
	flag.IntVar(&c.keys, "keys", 500, "values in the database")
	flag.DurationVar(&c.change, "change", 10*time.Millisecond, "time between two changes")
	flag.DurationVar(&c.slow, "slow", 20*time.Millisecond, "what a read of the database takes")
	flag.DurationVar(&c.keep, "keep", time.Minute, "how long a value is believed at most")
	flag.DurationVar(&c.run, "for", 10*time.Second, "how long to run")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, c); err != nil {
		fmt.Fprintln(os.Stderr, "cache:", err)
		os.Exit(1)
	}
}

// run is the shop until its time is over or ctx ends.
func run(ctx context.Context, c config) error {
	url, _, stop, err := devserver.Lend(c.redis, "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, c.run)
	defer cancel()
	s, err := open(ctx, url, c)
	if err != nil {
		return err
	}
	defer s.close()
	return s.run(ctx)
}
