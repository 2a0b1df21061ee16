// Command chat is rooms in a terminal, for any number of processes. What is said goes to a durable topic, so that whoever
// comes later reads it too, and a broken connection loses nothing; who is there is a live one, since it is of the moment.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"os/user"
	"syscall"
	"time"

	"github.com/tidemill/tidemill/internal/devserver"
	"github.com/tidemill/tidemill/pubsub"
)

// usual is where the processes meet that were not told of a Redis. The first of them brings it along.
const usual = "127.0.0.1:6379"

// config is what the flags say.
type config struct {
	redis string
	name  string
	room  string
	past  time.Duration // what was said before is shown
	in    io.Reader
	out   io.Writer
}

func main() {
	c := config{in: os.Stdin, out: os.Stdout}
	flag.StringVar(&c.redis, "redis", os.Getenv("REDIS_URL"), "URL of Redis; empty = the one at "+usual+", or one in this process")
	flag.StringVar(&c.name, "name", login(), "who you are")
	flag.StringVar(&c.room, "room", "lobby", "room to enter")
	flag.DurationVar(&c.past, "past", 24*time.Hour, "how much of what was said before to show")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, c); err != nil {
		fmt.Fprintln(os.Stderr, "chat:", err)
		os.Exit(1)
	}
}

func login() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return "somebody"
}

// run is one person at a terminal, until ctx ends or the input does.
func run(ctx context.Context, c config) error {
	url, lent, stop, err := devserver.Lend(c.redis, usual)
	if err != nil {
		return err
	}
	defer stop()
	client, err := pubsub.Open(ctx, url)
	if err != nil {
		return err
	}
	defer client.Close()
	t := &terminal{config: c, client: client}
	if lent {
		t.note("no Redis was there, so this process is it: the rooms end with it")
	}
	return t.run(ctx)
}
