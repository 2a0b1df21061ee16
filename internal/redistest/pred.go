package redistest

import (
	"slices"
	"strings"
	"sync/atomic"
)

// Pred chooses commands. cmd is in upper case and args are what follows it; a
// script call is EVAL or EVALSHA with the script or its digest as args[0]. It
// sees everything a client sends, also the HELLO and CLIENT of a new connection.
// The predicates of one Bubble or Proxy are called one at a time, so they may
// keep state, but they must not block or call back into it. They must not keep
// or change args.
type Pred = func(cmd string, args []string) bool

// On chooses the named commands, in any case; no names means every command.
func On(names ...string) Pred {
	upper := make([]string, len(names))
	for i, name := range names {
		upper[i] = strings.ToUpper(name)
	}
	return func(cmd string, _ []string) bool {
		return len(upper) == 0 || slices.Contains(upper, cmd)
	}
}

// Nth chooses only the n-th command, counted from 1, that p chooses. It is safe
// to share between several Bubbles or Proxies.
func Nth(n int64, p Pred) Pred {
	var seen atomic.Int64
	return func(cmd string, args []string) bool {
		return p(cmd, args) && seen.Add(1) == n
	}
}

// Once chooses only the first command that p chooses.
func Once(p Pred) Pred { return Nth(1, p) }
