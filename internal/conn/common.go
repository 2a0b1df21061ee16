package conn

import (
	"fmt"
	"io"
	"sync"

	"github.com/redis/go-redis/v9"
)

// common is what all Sets around one client have in common: the budget, the small clients and what is attached. That
// client belongs to the Set that Open made, if there is one, and the others are views of it. Safe for concurrent use.
type common struct {
	client redis.UniversalClient
	owner  *Set // that Open made: with it all ends; nil = with the last Set

	mu          sync.Mutex
	limit, used int
	sets        int // open ones
	closed      bool
	small       map[*smallClient]struct{}
	attached    map[any]io.Closer
	judged      *Server // what passed Check; nil: nothing has
}

// known finds the common part by its client, for those who wrap a client of which this process has a Set already.
var known = struct {
	mu sync.Mutex
	of map[redis.UniversalClient]*common
}{of: make(map[redis.UniversalClient]*common)}

func newCommon(limit, used int) *common {
	return &common{limit: limit, used: used, sets: 1, small: make(map[*smallClient]struct{}), attached: make(map[any]io.Closer)}
}

// enrol makes a client that Open made known.
func (c *common) enrol(owner *Set) {
	c.client, c.owner = owner.shared, owner
	known.mu.Lock()
	defer known.mu.Unlock()
	known.of[c.client] = c
}

// commonOf answers the common part of a client that was passed in, with one more Set around it. Of a client that is not
// owned here a larger budget that is asked for holds; that of an owned one was divided when it was opened.
func commonOf(client redis.UniversalClient, cfg Config, limit int) *common {
	known.mu.Lock()
	defer known.mu.Unlock()
	if c := known.of[client]; c != nil && c.join(cfg.MaxConnections) {
		return c
	}
	c := newCommon(limit, 1)
	c.client = client
	known.of[client] = c
	return c
}

func (c *common) join(limit int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.sets++
	if c.owner == nil {
		c.limit = max(c.limit, limit)
	}
	return true
}

// takeLocked takes a share of the budget.
func (c *common) takeLocked(what string, n int) error {
	if c.closed {
		return fmt.Errorf("%s: %w", what, redis.ErrClosed)
	}
	if c.used+n > c.limit {
		return fmt.Errorf("%w: %s: %d wanted and %d left of MaxConnections=%d: MaxConnections must be at least %d",
			ErrConfig, what, n, c.limit-c.used, c.limit, c.used+n)
	}
	c.used += n
	return nil
}

// leave takes note that a Set is closed, and answers what has to be closed with it.
func (c *common) leave(s *Set) (attached []io.Closer, small []*smallClient) {
	c.mu.Lock()
	c.sets--
	last := s == c.owner || c.owner == nil && c.sets == 0
	for one := range c.small {
		if last || one.set == s {
			small = append(small, one)
		}
	}
	if last {
		c.closed = true
		for _, one := range c.attached {
			attached = append(attached, one)
		}
		c.attached = nil
	}
	c.mu.Unlock()
	if last {
		known.mu.Lock()
		defer known.mu.Unlock()
		if known.of[c.client] == c {
			delete(known.of, c.client)
		}
	}
	return attached, small
}

// Attach answers what is attached to the Set's client under a key, which is made at first use. Sets around the same client
// share it, and it is closed when they end, before their clients are: with the Set that Open made, else with the last of
// them. After that it is made and closed at once. make must not use the Set.
func (s *Set) Attach(key any, make func() io.Closer) io.Closer {
	c := s.common
	c.mu.Lock()
	one, found := c.attached[key]
	if !found {
		one = make()
		if !c.closed {
			c.attached[key] = one
		}
	}
	closed := c.closed
	c.mu.Unlock()
	if closed {
		_ = one.Close()
	}
	return one
}
