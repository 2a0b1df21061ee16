package worker

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidemill/tidemill/queue"
)

// anything ends a pattern: a kind that begins with what stands before it.
const anything = "*"

// routing is how jobs are run: a handler for each kind, and the worker's own defaults. It never changes, a reload puts
// another in its place; so an attempt under way goes on as it began.
type routing struct {
	exact    map[string]*route // by kind
	prefixes []*route          // of patterns, the longest first
	retry    Backoff
	timeout  time.Duration

	found atomic.Pointer[map[string]*match] // kinds that a pattern served
	grow  sync.Mutex                        // held to put a larger map there
}

// match is a kind that a pattern serves.
type match struct {
	kind  string
	route *route
}

// maxFound bounds how many kinds are remembered with their pattern: kinds come from jobs. Others are looked up each time.
const maxFound = 1000

func newRouting(routes map[string]*route, config *Config) *routing {
	g := &routing{exact: make(map[string]*route, len(routes)), retry: config.Retry, timeout: config.Timeout}
	g.found.Store(&map[string]*match{})
	for kind, r := range routes {
		if prefix, ok := strings.CutSuffix(kind, anything); ok {
			r.prefix = prefix
			g.prefixes = append(g.prefixes, r)
		} else {
			g.exact[kind] = r
		}
	}
	slices.SortFunc(g.prefixes, func(a, b *route) int {
		return cmp.Or(cmp.Compare(len(b.prefix), len(a.prefix)), strings.Compare(a.prefix, b.prefix))
	})
	return g
}

// with is the same handlers under other defaults.
func (g *routing) with(config *Config) *routing {
	other := &routing{exact: g.exact, prefixes: g.prefixes, retry: config.Retry, timeout: config.Timeout}
	other.found.Store(g.found.Load())
	return other
}

// find answers a kind as text, without a copy where it is known, and who serves it: nil when nobody does.
func (g *routing) find(kind []byte) (string, *route) {
	if r := g.exact[string(kind)]; r != nil {
		return r.kind, r
	}
	if len(g.prefixes) == 0 {
		return string(kind), nil
	}
	if m := (*g.found.Load())[string(kind)]; m != nil {
		return m.kind, m.route
	}
	name := string(kind)
	for _, r := range g.prefixes {
		if strings.HasPrefix(name, r.prefix) {
			g.remember(name, r)
			return name, r
		}
	}
	return name, nil
}

// remember notes who serves a kind. Readers never wait for it.
func (g *routing) remember(kind string, r *route) {
	g.grow.Lock()
	defer g.grow.Unlock()
	known := *g.found.Load()
	if len(known) >= maxFound || known[kind] != nil {
		return
	}
	larger := make(map[string]*match, len(known)+1)
	for k, m := range known {
		larger[k] = m
	}
	larger[kind] = &match{kind: kind, route: r}
	g.found.Store(&larger)
}

// kinds lists the kinds and patterns served, sorted.
func (g *routing) kinds() []string {
	kinds := make([]string, 0, len(g.exact)+len(g.prefixes))
	for kind := range g.exact {
		kinds = append(kinds, kind)
	}
	for _, r := range g.prefixes {
		kinds = append(kinds, r.kind)
	}
	slices.Sort(kinds)
	return kinds
}

// attempts is how often a job may be tried that brings a limit of its own, or none (0).
func (r *route) attempts(own int) int {
	switch {
	case own > 0:
		return own
	case r.maxAttempts > 0:
		return r.maxAttempts
	}
	return queue.DefaultMaxAttempts
}
