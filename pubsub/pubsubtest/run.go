package pubsubtest

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/pubsub"
)

// Server is what a case works with: a Redis, and the means to hurt the way there. Its methods are called by the case's own
// goroutine only.
type Server interface {
	// Client makes a client with connections of its own, such as another process has. It is closed with the case.
	Client(config ...pubsub.Config) *pubsub.Client
	// Redis is for what other programs do: a plain PUBLISH, a plain XADD.
	Redis() redis.UniversalClient
	// Cut breaks every connection of the clients, as they see it. New ones succeed.
	Cut()
}

// Target says what Run tries. At and Embedded make one; its fields may be changed then.
type Target struct {
	// Connect makes the Server of one case. What it made ends with the case (t.Cleanup).
	Connect func(t testing.TB) Server
	// Bubble runs each case in a testing/synctest bubble of its own. Connect is called inside it.
	Bubble bool
	// Durable runs the cases of durable topics, which need streams and scripts.
	Durable bool
	// Sharded says that the server has sharded pub/sub (Redis 7.0). Where it says no, that is an error of its own is tried.
	Sharded bool
	// Patterns says that patterns may be subscribed to. An ACL must allow a pattern word for word, or all channels; where it
	// does not, that is an error of its own is tried.
	Patterns bool
	// Cut runs the cases that break connections by Server.Cut.
	Cut bool
	// Prefix is what the names of all topics begin with, such as an ACL allows; a random part follows. Default "tm:test:".
	Prefix string
}

// patience bounds each case: what does not come until then is missing.
const patience = 20 * time.Second

// goodbye is for how long go-redis's own goroutines may outlive a client that is closed.
const goodbye = 3 * time.Second

// Run tries everything that the target is said to have, one subtest for each case, side by side. Each has topics of its own,
// and deletes what it wrote.
func Run(t *testing.T, target Target) {
	t.Helper()
	if target.Connect == nil {
		t.Fatal("pubsubtest: invalid Target.Connect: nil; allowed: a function, as At and Embedded make it")
	}
	if target.Prefix == "" {
		target.Prefix = "tm:test:"
	}
	for _, one := range cases {
		if one.needs != nil && !one.needs(&target) {
			continue
		}
		t.Run(one.name, func(t *testing.T) {
			t.Parallel()
			if !target.Bubble {
				one.try(t, &target)
				return
			}
			synctest.Test(t, func(t *testing.T) { one.try(t, &target) })
		})
	}
}

// useCase is something that package pubsub promises.
type useCase struct {
	name  string
	needs func(target *Target) bool // nil: nothing
	run   func(c *trial)
}

var cases = []useCase{
	{"Order", nil, order},
	{"FanOut", nil, fanOut},
	{"Pattern", func(t *Target) bool { return t.Patterns }, pattern},
	{"PatternRefused", func(t *Target) bool { return !t.Patterns }, patternRefused},
	{"Foreign", nil, foreign},
	{"Undecodable", nil, undecodable},
	{"Metadata", nil, metadata},
	{"Handle", nil, handle},
	{"Close", nil, closing},
	{"DropOldest", nil, dropOldest},
	{"DropNewest", nil, dropNewest},
	{"CloseWhenSlow", nil, closeWhenSlow},
	{"Block", nil, block},
	{"SlowBesideFast", nil, slowBesideFast},
	{"Gap", canCut, gap},
	{"GapAccounts", canCut, gapAccounts},
	{"Sharded", func(t *Target) bool { return t.Sharded }, sharded},
	{"NotSharded", func(t *Target) bool { return !t.Sharded }, notSharded},
	{"PatternSharded", nil, patternSharded},
	{"DurableGroups", isDurable, durableGroups},
	{"DurableLive", isDurable, durableLive},
	{"DurableRedelivers", isDurable, durableRedelivers},
	{"DurableLeave", isDurable, durableLeave},
	{"DurableDead", isDurable, durableDead},
	{"DurableReplay", isDurable, durableReplay},
	{"DurableFollow", isDurable, durableFollow},
	{"DurableKeeps", isDurable, durableKeeps},
	{"DurableInspect", isDurable, durableInspect},
	{"DurableForeign", isDurable, durableForeign},
	{"DurableCut", func(t *Target) bool { return t.Durable && t.Cut }, durableCut},
}

func canCut(t *Target) bool    { return t.Cut }
func isDurable(t *Target) bool { return t.Durable }

// trial is a case that runs.
type trial struct {
	*testing.T
	Server
	ctx    context.Context
	target *Target
	prefix string
}

func (u useCase) try(t *testing.T, target *Target) {
	if target.Bubble {
		t.Cleanup(func() { time.Sleep(goodbye) })
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	random := strings.ReplaceAll(uuid.NewString(), "-", "")[:12]
	u.run(&trial{T: t, Server: target.Connect(t), ctx: ctx, target: target, prefix: target.Prefix + random + "."})
}

// name makes a topic's name of the case's own.
func (c *trial) name(last string) string { return c.prefix + last }

func (c *trial) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

// waitFor waits for a condition, which reads well after "waiting for".
func (c *trial) waitFor(cond func() bool, what string) {
	c.Helper()
	redistest.WaitFor(c, patience, cond, what)
}

// tick is what the cases send.
type tick struct {
	N    int    `json:"n"`
	From string `json:"from,omitempty"`
}

// ticks are from..to-1.
func ticks(from, to int) []tick {
	out := make([]tick, 0, max(0, to-from))
	for n := from; n < to; n++ {
		out = append(out, tick{N: n})
	}
	return out
}
