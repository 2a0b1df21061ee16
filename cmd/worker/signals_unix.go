//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"

	"github.com/tidemill/tidemill/worker"
)

// watchSignals makes TSTP quiet the worker and TTIN print all goroutines, until stop is called.
func watchSignals(w *worker.Worker) (stop func()) {
	signals, done := make(chan os.Signal, 4), make(chan struct{})
	signal.Notify(signals, syscall.SIGTSTP, syscall.SIGTTIN)
	go func() {
		for {
			select {
			case s := <-signals:
				if s == syscall.SIGTSTP {
					w.Quiet(true)
				} else {
					dumpGoroutines()
				}
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
	}
}

func dumpGoroutines() {
	if err := pprof.Lookup("goroutine").WriteTo(os.Stderr, 2); err != nil {
		fmt.Fprintln(os.Stderr, "goroutines:", err)
	}
}

// hangup answers a context that ends when the terminal is closed.
func hangup(parent context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(parent, syscall.SIGHUP)
}
