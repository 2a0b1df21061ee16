package pubsub

import (
	"fmt"
	"time"

	"github.com/tidemill/tidemill/internal/backoff"
	"github.com/tidemill/tidemill/internal/bus"
)

// KeepCount makes a durable topic keep its newest n messages: each publish drops those before them, also where a group has
// not had them yet (which it is told: *Gap). What a topic keeps is noted in Redis when it is published to, and holds for all who
// publish. One that is declared with neither KeepCount nor KeepFor leaves that as it is; where none is set all are kept, and a
// publish fails with ErrFull once Redis is full.
func KeepCount(n int64) TopicOption {
	return func(o *topicOptions) error {
		if n < 1 {
			return invalid("keep count", fmt.Sprint(n), "1 or more messages")
		}
		o.keepCount = n
		return nil
	}
}

// KeepFor makes a durable topic drop messages older than d, by the server's clock, also where a group has not had them yet:
// with each publish, and each 2 s while a group has members. Together with KeepCount what either drops is dropped.
func KeepFor(d time.Duration) TopicOption {
	return func(o *topicOptions) error {
		if d < time.Second {
			return invalid("keep for", d.String(), "1 s or more")
		}
		o.keepFor = d
		return nil
	}
}

// GroupOption is a choice for a group's subscription to a durable topic: From, MaxAttempts, Backoff, Batch, MemberTTL.
type GroupOption func(*groupOptions) error

type groupOptions struct {
	from        Start
	maxAttempts int
	backoff     backoff.Policy
	batch       int // 0: adaptive
	ttl         time.Duration
}

// Defaults of a group's subscription.
const (
	// DefaultMaxAttempts is how often a group tries a message.
	DefaultMaxAttempts = 10
	// DefaultMemberTTL is how long a member may give no sign of life.
	DefaultMemberTTL = 6 * time.Second
)

func defaultGroup() groupOptions {
	return groupOptions{from: FromStart, maxAttempts: DefaultMaxAttempts, ttl: DefaultMemberTTL,
		backoff: backoff.Policy{Base: time.Second, Cap: 10 * time.Minute, Factor: 2, Jitter: 0.25}}
}

// From is where a group begins that does not exist yet (default FromStart); of one that does it changes nothing.
func From(s Start) GroupOption {
	return func(o *groupOptions) error { o.from = s; return s.check() }
}

// MaxAttempts is how often the group tries a message before it is dead (default 10, 1 to 10,000). An attempt that ended with
// the process, or was cut short by Close, does not count; a message that saw three members die is dead all the same.
func MaxAttempts(n int) GroupOption {
	return func(o *groupOptions) error {
		if n < 1 || n > 10_000 {
			return invalid("max attempts", fmt.Sprint(n), "1 to 10000")
		}
		o.maxAttempts = n
		return nil
	}
}

// Backoff is how long a message waits after a failed attempt: base after the first, doubling up to limit, a quarter of it
// random (default 1 s up to 10 min).
func Backoff(base, limit time.Duration) GroupOption {
	return func(o *groupOptions) error {
		p := backoff.Policy{Base: base, Cap: limit, Factor: 2, Jitter: 0.25}
		if p.Validate() != nil {
			return invalid("backoff", fmt.Sprintf("%v up to %v", base, limit), "a base of more than 0, and a limit of at least that")
		}
		o.backoff = p
		return nil
	}
}

// maxBatch bounds Batch.
const maxBatch = 10_000

// Batch is how many messages a read takes ahead of the consumer (1 to 10,000). Default: as many as it finishes in a tenth of
// a second, up to 256; of a slow one none, and what no consumer came for within 1 s goes to other members of the group.
func Batch(n int) GroupOption {
	return func(o *groupOptions) error {
		if n < 1 || n > maxBatch {
			return invalid("batch", fmt.Sprint(n), fmt.Sprintf("1 to %d messages", maxBatch))
		}
		o.batch = n
		return nil
	}
}

// MemberTTL is how long the member may give no sign of life before others take what it has (default 6 s, 2 s to 1 min): a
// member whose process died has its messages delivered to others within that and 1 s. It says nothing about how long a
// handler may take.
func MemberTTL(d time.Duration) GroupOption {
	return func(o *groupOptions) error {
		if d < 2*time.Second || d > time.Minute {
			return invalid("member TTL", d.String(), "2s to 1m0s")
		}
		o.ttl = d
		return nil
	}
}

// Start is a place in a durable topic: FromStart, FromNow, FromPosition or FromTime. The zero value is FromStart.
type Start struct {
	now      bool
	position string
	time     time.Time
	timed    bool
}

var (
	// FromStart is before the oldest message that is kept.
	FromStart = Start{}
	// FromNow is behind the newest message.
	FromNow = Start{now: true}
)

// FromPosition is behind the message at a position (Message.Position), whether it is still kept or not.
func FromPosition(position string) Start {
	if position == "" { // not the zero value: that would be FromStart
		position = "-"
	}
	return Start{position: position}
}

// FromTime is before the first message that came to the topic at t or later, by the server's clock, to the ms.
func FromTime(t time.Time) Start { return Start{time: t, timed: true} }

func (s Start) check() error {
	switch {
	case s.timed && (s.time.Before(time.UnixMilli(0)) || s.time.UTC().Year() > 9999):
		return invalid("start", s.time.String(), "a time from 1970 to 9999")
	case s.position != "" && !bus.IsPosition(s.position):
		return invalid("start", fmt.Sprintf("position %.60q", s.position), "a message's Position, such as 1700000000000-0")
	}
	return nil
}

// place is the position before the first message; "$" = the end.
func (s Start) place() string {
	switch {
	case s.now:
		return "$"
	case s.timed:
		return bus.Position(s.time)
	case s.position != "":
		return s.position
	}
	return "0-0"
}
