// Command prices is a market in one process: a feed publishes prices, thousands of local subscribers follow them over one
// connection to Redis, and a small web page draws them as they come, by server-sent events.
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

	"golang.org/x/sync/errgroup"

	"github.com/tidemill/tidemill/internal/devserver"
	"github.com/tidemill/tidemill/pubsub"
)

// config is what the flags say.
type config struct {
	redis    string
	listen   string
	watchers int
	each     time.Duration     // between two prices of a symbol
	feed     bool              // publish
	ready    func(addr string) // called once the page is served; may be nil
}

func main() {
	c := config{ready: func(addr string) { fmt.Printf("the prices are at http://%s/, Ctrl-C ends\n", addr) }}
	flag.StringVar(&c.redis, "redis", os.Getenv("REDIS_URL"), "URL of Redis; empty = one in this process, for trying it out")
	flag.StringVar(&c.listen, "listen", "127.0.0.1:8080", "address to serve the page on")
	flag.IntVar(&c.watchers, "watchers", 5000, "local subscribers")
	flag.DurationVar(&c.each, "each", 200*time.Millisecond, "time between two prices of a symbol")
	flag.BoolVar(&c.feed, "feed", true, "publish prices; false where another process does")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, c); err != nil {
		fmt.Fprintln(os.Stderr, "prices:", err)
		os.Exit(1)
	}
}

// run is the market until ctx ends.
func run(ctx context.Context, c config) error {
	url, _, stop, err := devserver.Lend(c.redis, "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer stop()
	client, err := pubsub.Open(ctx, url)
	if err != nil {
		return err
	}
	defer client.Close()

	services, ctx := errgroup.WithContext(ctx)
	board, err := newBoard(ctx, client)
	if err != nil {
		return err
	}
	services.Go(func() error { return board.run(ctx) })
	crowd := &crowd{}
	if err := crowd.gather(ctx, services, client, c.watchers); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.listen)
	if err != nil {
		return err
	}
	services.Go(func() error { return serve(ctx, listener, &page{client: client, board: board, crowd: crowd}) })
	if c.feed {
		if err := feed(ctx, services, client, c.each); err != nil {
			return err
		}
	}
	if c.ready != nil {
		c.ready(listener.Addr().String())
	}
	return services.Wait()
}

// serve answers requests until ctx ends. Those of browsers that listen never end by themselves: their contexts do.
func serve(ctx context.Context, listener net.Listener, p *page) error {
	server := &http.Server{Handler: p.routes(), ReadHeaderTimeout: 5 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
