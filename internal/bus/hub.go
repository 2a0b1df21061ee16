package bus

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/internal/backoff"
	"github.com/tidemill/tidemill/internal/conn"
	"github.com/tidemill/tidemill/internal/loop"
)

const (
	// silence is how long nothing may arrive before a ping asks for a sign of
	// life, patience how long an answer may take while nothing else arrives.
	silence  = 30 * time.Second
	patience = 5 * time.Second
	// connecting bounds dial and handshake together.
	connecting = 3 * time.Second
	// steady is how long a connection must have stood for its end not to be one more failure.
	steady = 250 * time.Millisecond
	// markEvery is how often a ping behind messages tells up to when all has arrived.
	markEvery = 500 * time.Millisecond
)

// reconnects are quick and bounded: a server that is back is found within 1 s.
var reconnects = backoff.Policy{Base: 50 * time.Millisecond, Cap: time.Second, Factor: 2, Jitter: 0.5}

// again is for what only a person can mend.
var again = backoff.Policy{Base: time.Second, Cap: 10 * time.Second, Factor: 2, Jitter: 0.5}

// ErrNoSharding means that the server has no sharded channels: it is older than Redis 7.0.
var ErrNoSharding = errors.New("the server has no sharded pub/sub")

// Receiver receives what a subscription brings. Its methods are called one at a time, from the goroutine that reads the
// connection: while one runs nothing is read, and Redis drops a subscriber that lags too far behind (32 MB by default).
// They must hand on and return, and must not call the Hub or a Sub, but for Sub.Leave.
type Receiver interface {
	// Message is called for each message, in the order of arrival. The payload is never overwritten and must not be
	// changed: other receivers have it too. It may share its array with other messages, which it keeps alive.
	Message(channel string, payload []byte)
	// Missed tells that messages may be missing, before those that follow it.
	Missed(g Gap)
	// Ended is the last call: Redis refused the subscription for good when it was made anew, or the Hub was closed.
	Ended(err error)
}

// Gap is a time in which messages may have been missed. Surely received is what was published, with Redis's answer,
// before From, and what was begun to be published after To; both by the clock of this process. From is the last sign of
// life behind which nothing was under way, less what conn.Set.Behind says.
type Gap struct {
	From, To time.Time
	Reason   string
}

// Hub is the subscriptions of a process: one connection for all of them, in a Cluster one to each server that is needed. It
// is there while there are subscriptions. A lost one is replaced with backoff of at most 1 s, for ever; failures go to the
// Set's logger, rate-limited. One on which nothing arrives for 30 s is pinged, and replaced when it stays silent for 5 s
// more. Safe for concurrent use.
type Hub struct {
	set     *conn.Set
	log     zerolog.Logger
	limit   *loop.Limiter
	life    context.Context
	end     context.CancelFunc
	running sync.WaitGroup
	woken   *loop.Trigger // of the placer

	received, reconnects, gaps atomic.Uint64
	moves                      atomic.Uint64 // grows when a topic leaves its link

	mu       sync.RWMutex // guards what follows, and what topics and links say that it guards
	closed   bool
	raw      *conn.Raw // the share of the budget; nil while nobody needs one
	holders  int       // topics that are wanted, and those who Hold
	topics   [kinds]map[string]*topic
	links    map[string]*link // by node
	homeless map[*topic]struct{}
	placing  bool
	nextLook time.Time      // of the placer
	failures map[string]int // of a node, one after another
	retryAt  time.Time      // of the one server
	home     string         // the node of a Cluster where channels are,
	avoid    string         // and the one whose connection broke last
	trouble  error          // why there is no connection, for those who wait
}

type hubKey struct{}

// HubOf answers the Hub of a Set: all Sets around one client have the same. It ends with them.
func HubOf(set *conn.Set) *Hub {
	return set.Attach(hubKey{}, func() io.Closer { return newHub(set) }).(*Hub)
}

func newHub(set *conn.Set) *Hub {
	h := &Hub{set: set, log: set.Logger(), limit: loop.NewLimiter(0), woken: loop.NewTrigger(), links: make(map[string]*link),
		homeless: make(map[*topic]struct{}), failures: make(map[string]int)}
	for kind := range h.topics {
		h.topics[kind] = make(map[string]*topic)
	}
	h.life, h.end = context.WithCancel(context.Background())
	return h
}

// HubStats are a Hub's counters since it was made.
type HubStats struct {
	Received      uint64 // messages that arrived
	Reconnects    uint64 // connections that were lost
	Gaps          uint64 // that were told, each to all receivers of a name
	Connections   int    // that stand now
	Names         int    // channels and patterns that Redis is asked for
	Subscriptions int    // receivers
}

// Stats answers the counters.
func (h *Hub) Stats() HubStats {
	h.mu.RLock()
	defer h.mu.RUnlock()
	s := HubStats{Received: h.received.Load(), Reconnects: h.reconnects.Load(), Gaps: h.gaps.Load()}
	for _, l := range h.links {
		if l.conn != nil {
			s.Connections++
		}
	}
	for _, names := range h.topics {
		for _, t := range names {
			if t.wanted > 0 {
				s.Names++
				s.Subscriptions += t.wanted
			}
		}
	}
	return s
}

// Hold takes the Hub's share of the connection budget, one connection, though nobody subscribes yet. A budget that does
// not hold it is a conn.ErrConfig. release gives it back, once.
func (h *Hub) Hold() (release func(), err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.holdLocked(); err != nil {
		return nil, err
	}
	return sync.OnceFunc(func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.releaseLocked()
	}), nil
}

func (h *Hub) holdLocked() error {
	if h.closed {
		return redis.ErrClosed
	}
	if h.raw == nil {
		raw, err := h.set.Raw("subscription")
		if err != nil {
			return err
		}
		h.raw = raw
	}
	h.holders++
	return nil
}

func (h *Hub) releaseLocked() {
	if h.holders--; h.holders == 0 {
		h.raw.Close()
		h.raw = nil
		clear(h.failures)
		h.retryAt, h.home, h.avoid, h.trouble = time.Time{}, "", "", nil
	}
}

// Close ends every subscription; receivers are told. Closing twice is fine.
func (h *Hub) Close() error {
	h.mu.Lock()
	h.closed = true
	h.end()
	h.mu.Unlock()
	h.running.Wait()
	h.mu.Lock()
	var all []*topic
	for _, names := range h.topics {
		for _, t := range names {
			all = append(all, t)
		}
	}
	waiting := make([][]*Sub, len(all))
	for i, t := range all {
		waiting[i] = h.deleteLocked(t)
	}
	h.mu.Unlock()
	for i, t := range all {
		t.over(waiting[i], redis.ErrClosed)
	}
	return nil
}
