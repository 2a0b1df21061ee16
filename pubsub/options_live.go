package pubsub

import (
	"context"
	"fmt"
	"time"
)

// Sharded keeps the topic's messages on the shard of a Redis Cluster that the topic's name belongs to (SPUBLISH and
// SSUBSCRIBE), where a plain message goes to every node. Publishers and subscribers must agree on it. It needs Redis 7.0
// or Valkey (ErrNoSharding otherwise), has no patterns (ErrPatternSharded), and costs a connection for each shard in use.
func Sharded() TopicOption {
	return func(o *topicOptions) error { o.sharded = true; return nil }
}

// SubscribeOption is a choice for a live subscription: Buffer, WhenFull.
type SubscribeOption func(*subscribeOptions) error

type subscribeOptions struct {
	buffer int
	policy Policy
}

// DefaultBuffer is how many messages a subscription holds for its consumer unless Buffer says otherwise.
const DefaultBuffer = 1024

// MaxBuffer is the most that Buffer allows.
const MaxBuffer = 1 << 24

// Buffer is how many messages may wait for the subscription's consumer (default 1,024, 1 to 16,777,216). An empty one takes
// almost no memory, so that a hundred thousand subscriptions are cheap; the messages themselves are shared.
func Buffer(messages int) SubscribeOption {
	return func(o *subscribeOptions) error {
		if messages < 1 || messages > MaxBuffer {
			return invalid("buffer", fmt.Sprint(messages), fmt.Sprintf("1 to %d messages", MaxBuffer))
		}
		o.buffer = messages
		return nil
	}
}

// WhenFull says what becomes of a message that finds the buffer full (default DropOldest).
func WhenFull(p Policy) SubscribeOption {
	return func(o *subscribeOptions) error {
		if p.wait < 0 || p.kind == blockFor && p.wait == 0 {
			return invalid("policy", fmt.Sprintf("Block(%v)", p.wait), "a time of more than 0")
		}
		o.policy = p
		return nil
	}
}

// Policy says what becomes of a message that finds a subscription's buffer full: DropOldest, DropNewest, CloseWhenSlow
// or Block. Whatever it is, the connection goes on being read, and other subscriptions do not notice.
type Policy struct {
	kind policyKind
	wait time.Duration
}

type policyKind uint8

const (
	dropOldest policyKind = iota
	dropNewest
	closeWhenSlow
	blockFor
)

var (
	// DropOldest makes room: the message that waited longest is dropped. A consumer that lags behind sees what is new.
	DropOldest = Policy{kind: dropOldest}
	// DropNewest drops the message that came.
	DropNewest = Policy{kind: dropNewest}
	// CloseWhenSlow ends the subscription with ErrSlowConsumer, which comes after what is in the buffer.
	CloseWhenSlow = Policy{kind: closeWhenSlow}
)

// Block lets a message wait up to d for room in the buffer, as many messages as the buffer holds once more; one that finds
// no place to wait, or no room in time, is dropped.
func Block(d time.Duration) Policy { return Policy{kind: blockFor, wait: d} }

// String names the policy.
func (p Policy) String() string {
	switch p.kind {
	case dropNewest:
		return "DropNewest"
	case closeWhenSlow:
		return "CloseWhenSlow"
	case blockFor:
		return fmt.Sprintf("Block(%v)", p.wait)
	}
	return "DropOldest"
}

// HandleOption is a choice for Handle: Concurrency, OnGap.
type HandleOption func(*handleOptions) error

type handleOptions struct {
	concurrency int
	onGap       func(ctx context.Context, g *Gap)
}

// maxConcurrency bounds Concurrency.
const maxConcurrency = 100_000

// Concurrency is how many handlers run at once (default 1: one after the other, in order; at most 100,000).
func Concurrency(n int) HandleOption {
	return func(o *handleOptions) error {
		if n < 1 || n > maxConcurrency {
			return invalid("concurrency", fmt.Sprint(n), fmt.Sprintf("1 to %d", maxConcurrency))
		}
		o.concurrency = n
		return nil
	}
}

// OnGap is called where messages may have been missed, in order among the messages when the concurrency is 1 (default: a
// line in the log). Whoever keeps something up to date by messages reads it anew there.
func OnGap(f func(ctx context.Context, g *Gap)) HandleOption {
	return func(o *handleOptions) error {
		if f == nil {
			return invalid("OnGap", "nil", "a function")
		}
		o.onGap = f
		return nil
	}
}
