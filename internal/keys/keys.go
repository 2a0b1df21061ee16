// Package keys builds every Redis key name that Tidemill uses. It is pure: it issues no commands.
//
// Keys of one queue share the hash tag {queue}, so that each script touches one Cluster slot. The table of
// keys and what they hold is in internal/broker/doc.go.
package keys

import (
	"fmt"
	"strings"
)

// DefaultNamespace prefixes every key unless another namespace is set.
const DefaultNamespace = "tm"

// MaxNameLen is the longest name of a queue or namespace, in bytes.
const MaxNameLen = 128

// Space is one namespace: all keys of one Tidemill installation in a Redis database.
type Space struct{ name string }

// NewSpace checks the namespace; an empty one is DefaultNamespace.
func NewSpace(name string) (Space, error) {
	if name == "" {
		name = DefaultNamespace
	}
	if err := checkName("namespace", name); err != nil {
		return Space{}, err
	}
	return Space{name: name}, nil
}

// Name returns the namespace as text.
func (s Space) Name() string { return s.name }

// Queues is the SET of queue names.
func (s Space) Queues() string { return s.name + ":queues" }

// Workers is the HASH of live worker processes, kept for people.
func (s Space) Workers() string { return s.name + ":workers" }

// Orders is the HASH of what operators told worker processes.
func (s Space) Orders() string { return s.name + ":orders" }

// Settings is the HASH of settings that hold for the whole namespace (the session TTL).
func (s Space) Settings() string { return s.name + ":settings" }

// Control is the pub/sub channel of hints to workers (cancel, pause); keys hold the truth.
func (s Space) Control() string { return s.name + ":control" }

// Ended is the pub/sub channel of hints to one process that waits for jobs: which of them ended. Keys hold the truth.
func (s Space) Ended(token string) string { return s.name + ":ended:" + token }

// Unused is a queue that never exists: what a connection may do is asked with its keys.
func (s Space) Unused() *Queue { return s.queue("~") }

// The places of a queue's fixed keys in the KEYS of workers' and operators' scripts. internal/broker/lua/prelude.lua names them
// in the same order.
const (
	Jobs = iota
	State
	Suspect
	Scheduled
	Sessions
	Producers
	Dead
	Finished
	Results
	Cancels
	Wake
	Due
	Meta
	Ready // ready:0; ready:9 is Ready+9
	Fixed = Ready + 10
)

var parts = [...]string{"jobs", "state", "suspect", "scheduled", "sessions", "producers", "dead", "finished", "results",
	"cancels", "wake", "due", "meta", "ready:0", "ready:1", "ready:2", "ready:3", "ready:4", "ready:5", "ready:6",
	"ready:7", "ready:8", "ready:9"}

// Queue holds the key names of one queue, built once. It is immutable and safe for concurrent use.
type Queue struct {
	name   string
	prefix string
	fixed  [Fixed]string
	boxed  [Fixed]any
}

// Queue checks the name and builds the queue's keys.
func (s Space) Queue(name string) (*Queue, error) {
	if err := checkName("queue", name); err != nil {
		return nil, err
	}
	return s.queue(name), nil
}

func (s Space) queue(name string) *Queue {
	q := &Queue{name: name, prefix: s.name + ":{" + name + "}:"}
	for i, part := range parts {
		q.fixed[i] = q.prefix + part
		q.boxed[i] = q.fixed[i]
	}
	return q
}

// Name is the queue's name.
func (q *Queue) Name() string { return q.name }

// Key returns the fixed key at a place (Jobs, State, ...).
func (q *Queue) Key(place int) string { return q.fixed[place] }

// Fixed returns the keys that those scripts declare, in the order of the constants above. Do not change it.
func (q *Queue) Fixed() []string { return q.fixed[:] }

// Boxed is Fixed as a command takes its arguments: making them so for each call would allocate each of them. Do not change it.
func (q *Queue) Boxed() []any { return q.boxed[:] }

// Running is the ZSET of what a session runs: id by claim token.
func (q *Queue) Running(session string) string { return q.prefix + "running:" + session }

// Lanes is the HASH of a session's call records.
func (q *Queue) Lanes(session string) string { return q.prefix + "lanes:" + session }

// Poke is the LIST by which a process ends its own blocking pop.
func (q *Queue) Poke(instance string) string { return q.prefix + "poke:" + instance }

// nameBytes is what a name is made of, in words.
const nameBytes = "A-Z a-z 0-9 _ - . :"

func checkName(what, name string) error {
	if name == "" {
		return fmt.Errorf("%s: the name is empty; allowed are 1 to %d of %s", what, MaxNameLen, nameBytes)
	}
	bad := strings.IndexFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-.:", r))
	})
	if bad >= 0 || len(name) > MaxNameLen {
		return fmt.Errorf("%s: %.140q is not a name; allowed are 1 to %d of %s", what, name, MaxNameLen, nameBytes)
	}
	return nil
}
