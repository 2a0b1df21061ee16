// Webhooks is a receiver of webhooks such as your customers run: it verifies the signature, does the work of each job once,
// and now and then fails, loses its answer, takes its time or asks the sender to come back later. It counts what it saw
// and prints a table when it is ended (INT, TERM). run.sh beside it lets the worker binary deliver thousands of jobs to it.
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
)

func main() {
	var s settings
	flag.StringVar(&s.listen, "listen", "127.0.0.1:8090", "address to listen on; port 0 picks a free one")
	flag.StringVar(&s.urlFile, "url-file", "", "file to write the receiver's URL to, once it listens")
	flag.StringVar(&s.secretFile, "secret-file", "hook.secret", "file with the secret that requests are signed with: whsec_...")
	flag.StringVar(&s.effects, "effects", "effects", "file that a line is appended to for each job done")
	flag.Float64Var(&s.fail, "fail", 0.10, "share of requests that are answered 500")
	flag.Float64Var(&s.lose, "lose", 0.03, "share of requests whose work is done, but whose answer is lost")
	flag.Float64Var(&s.slow, "slow", 0.05, "share of requests that take 50 to 300 ms")
	flag.IntVar(&s.rate, "rate", 500, "requests a second; more are answered 429")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "webhooks:", err)
		os.Exit(1)
	}
}

// settings are the flags.
type settings struct {
	listen, urlFile, secretFile, effects string
	fail, lose, slow                     float64
	rate                                 int
}

func run(ctx context.Context, s settings) error {
	secret, err := os.ReadFile(s.secretFile)
	if err != nil {
		return err
	}
	done, err := openEffects(s.effects)
	if err != nil {
		return err
	}
	defer done.Close()
	r, err := newReceiver(secret, done, s)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", s.listen)
	if err != nil {
		return err
	}
	url := fmt.Sprintf("http://%s/hooks", listener.Addr())
	fmt.Fprintln(os.Stderr, "receiving at", url)
	if s.urlFile != "" {
		if err := publish(s.urlFile, url); err != nil {
			return err
		}
	}
	mux := http.NewServeMux()
	mux.Handle("POST /hooks", r)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second}
	defer context.AfterFunc(ctx, func() {
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(limit)
	})()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	fmt.Print(r.summary())
	return nil
}

// publish writes a file that is there whole or not at all.
func publish(path, text string) error {
	if err := os.WriteFile(path+".new", []byte(text+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
