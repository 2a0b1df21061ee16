//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// hangups takes HUP: one that comes while the worker starts is kept for later, instead of ending it.
type hangups struct {
	signals    chan os.Signal
	done, over chan struct{}
}

func catchHangups() *hangups {
	h := &hangups{signals: make(chan os.Signal, 1), done: make(chan struct{})}
	signal.Notify(h.signals, syscall.SIGHUP)
	return h
}

// each calls reload for each HUP, one after the other, until stop.
func (h *hangups) each(reload func()) {
	h.over = make(chan struct{})
	go func() {
		defer close(h.over)
		for {
			select {
			case <-h.signals:
				reload()
			case <-h.done:
				return
			}
		}
	}()
}

// stop gives the signal back, after a reload under way.
func (h *hangups) stop() {
	signal.Stop(h.signals)
	close(h.done)
	if h.over != nil {
		<-h.over
	}
}
