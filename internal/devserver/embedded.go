package devserver

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// pumpEvery is how often the embedded server is told that time passed: it expires keys only then.
const pumpEvery = time.Second

// StartEmbedded starts the embedded server on an address host:port; port 0 is any free one. It keeps nothing.
func StartEmbedded(addr string) (*Server, error) {
	m := miniredis.NewMiniRedis()
	if err := m.StartAddr(addr); err != nil {
		return nil, fmt.Errorf("the embedded server cannot listen on %s: %w", addr, err)
	}
	done, end := make(chan struct{}), make(chan struct{})
	var once sync.Once
	go pump(m, end)
	var notes []string
	if ip := net.ParseIP(m.Host()); !ip.IsLoopback() {
		notes = append(notes, "it asks for no password and listens on "+addr+", where other machines can reach it")
	}
	return &Server{
		Addr: dialable(m), Notes: notes, done: done, tail: func() string { return "" },
		stop: func(ctx context.Context) error {
			once.Do(func() {
				close(end)
				go func() {
					defer close(done)
					closeEmbedded(m)
				}()
			})
			select {
			case <-done:
				return nil
			case <-ctx.Done():
				return fmt.Errorf("the embedded server did not stop: %w", context.Cause(ctx))
			}
		},
	}, nil
}

// pump makes the keys' time to live pass.
func pump(m *miniredis.Miniredis, end <-chan struct{}) {
	tick := time.NewTicker(pumpEvery)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-end:
			return
		case <-tick.C:
			now := time.Now()
			m.FastForward(now.Sub(last))
			last = now
		}
	}
}

// dialable is where clients on this machine find the server: one that listens on all addresses is on the loopback too.
func dialable(m *miniredis.Miniredis) string {
	host := m.Host()
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, m.Port())
}

// closeEmbedded ends the server with all its connections.
func closeEmbedded(m *miniredis.Miniredis) {
	m.CtxCancel()
	// A command left blocking learns of that by a broadcast that miniredis sends without its lock, so it can miss it;
	// any command sends another one, with the lock held.
	if c, err := m.Dial(); err == nil {
		_, _ = io.WriteString(c, "*1\r\n$4\r\nPING\r\n") // it knows no inline commands
		_, _ = c.Read(make([]byte, 64))
		_ = c.Close()
	}
	m.Close()
}
