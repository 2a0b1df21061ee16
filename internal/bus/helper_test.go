package bus

import (
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/conn"
)

// pipeServer is the embedded server behind net.Pipe, with a relay that counts
// requests, can swallow replies (a dead peer) and can cut.
type pipeServer struct {
	*miniredis.Miniredis
	requests atomic.Int64
	dials    atomic.Int64
	dead     atomic.Bool

	mu    sync.Mutex
	conns []net.Conn
}

func startPipe(t testing.TB) *pipeServer {
	t.Helper()
	s := &pipeServer{Miniredis: miniredis.NewMiniRedis()}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	s.Server().Close() // its Accept would never be durably blocked in a bubble
	t.Cleanup(func() { s.cut(); s.CtxCancel() })
	return s
}

func (s *pipeServer) client(t testing.TB) *redis.Client {
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379", Dialer: s.dial, ContextTimeoutEnabled: true, MaxRetries: -1})
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

// hub is that of a Set around a client of the server.
func (s *pipeServer) hub(t testing.TB, cfg conn.Config) *Hub {
	return hubOf(t, s.client(t), cfg)
}

func hubOf(t testing.TB, rdb redis.UniversalClient, cfg ...conn.Config) *Hub {
	t.Helper()
	set, err := conn.Wrap(rdb, append(cfg, conn.Config{})[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = set.Close() })
	return HubOf(set)
}

func (s *pipeServer) dial(context.Context, string, string) (net.Conn, error) {
	near, relayNear := net.Pipe()
	relayFar, far := net.Pipe()
	s.Server().ServeConn(far)
	s.dials.Add(1)
	s.mu.Lock()
	s.conns = append(s.conns, relayNear, relayFar)
	s.mu.Unlock()
	relay := func(to, from net.Conn, replies bool) {
		defer func() { _ = to.Close(); _ = from.Close() }()
		for buf := make([]byte, 4096); ; {
			n, err := from.Read(buf)
			if err != nil {
				return
			}
			if !replies {
				s.requests.Add(1)
			}
			if replies && s.dead.Load() {
				continue
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
	}
	go relay(relayFar, relayNear, false)
	go relay(relayNear, relayFar, true)
	return near, nil
}

// cut resets every connection.
func (s *pipeServer) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		_ = c.Close()
	}
	s.conns = nil
}

// record is a Receiver that hands everything to the test.
type record chan string

func (r record) Message(channel string, payload []byte) { r <- channel + "=" + string(payload) }
func (r record) Missed(g Gap)                           { r <- "gap: " + g.Reason }

// Ended is not waited for: most tests have ended themselves by then.
func (r record) Ended(err error) {
	select {
	case r <- "ended: " + err.Error():
	default:
	}
}

func (r record) next(t testing.TB) string {
	t.Helper()
	select {
	case got := <-r:
		return got
	case <-time.After(time.Minute):
		t.Fatal("nothing arrived")
		return ""
	}
}

// gap is next for one that is to be a gap.
func (r record) gap(t testing.TB) {
	t.Helper()
	if got := r.next(t); !strings.HasPrefix(got, "gap: ") {
		t.Fatalf("got %q, want a gap", got)
	}
}

// subscribe is Subscribe for one that is to succeed.
func subscribe(t testing.TB, h *Hub, kind Kind, name string, r Receiver) *Sub {
	t.Helper()
	s, err := h.Subscribe(t.Context(), kind, name, r)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// tally is a Receiver that counts.
type tally struct{ messages, gaps, ends atomic.Int64 }

func (c *tally) Message(string, []byte) { c.messages.Add(1) }
func (c *tally) Missed(Gap)             { c.gaps.Add(1) }
func (c *tally) Ended(error)            { c.ends.Add(1) }
