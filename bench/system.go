package main

import (
	"context"
	"runtime/debug"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// system is the adapter of one job system: one file each (system_asynq.go).
// An adapter uses the system as its manual tells users to, and leaves every
// setting but concurrency and queues at its default.
type system interface {
	// Module is the Go module path, from which the version is read.
	Module() string
	// Open returns a producer on the server at addr.
	Open(ctx context.Context, addr string) (producer, error)
	// Work runs a worker until ctx ends and returns nil after a clean stop.
	// It decodes each payload once with encoding/json and then calls handle,
	// from as many goroutines as spec.Concurrency.
	Work(ctx context.Context, spec workSpec, handle func(payload)) error
	// Backlog counts the jobs of a queue. It must be cheap, as it is polled
	// each millisecond at the end of a drain.
	Backlog(ctx context.Context, rdb *redis.Client, queue string) (backlog, error)
}

// producer is the enqueuing side of a system. It is safe for concurrent use.
type producer interface {
	// Enqueue encodes p with encoding/json and adds one job to the queue, to
	// run after delay; 0 means at once.
	Enqueue(ctx context.Context, queue string, p payload, delay time.Duration) error
	// EnqueueMany adds all of ps in the system's own batch call, or returns
	// errors.ErrUnsupported if there is none.
	EnqueueMany(ctx context.Context, queue string, ps []payload) error
	Close() error
}

// workSpec says what a worker serves.
type workSpec struct {
	Addr        string
	Queues      []string
	Concurrency int
}

// backlog counts the jobs a system still holds in one queue.
type backlog struct {
	Pending int64 // ready to run
	Active  int64 // claimed by a worker and not yet acked
	Other   int64 // delayed, to be retried, or dead
}

// total is every job the system still holds.
func (b backlog) total() int64 { return b.Pending + b.Active + b.Other }

// payload is the argument of every job: 5 fields, about 200 bytes of JSON.
type payload struct {
	UserID  int64  `json:"user_id"`
	Email   string `json:"email"`
	Subject string `json:"subject"`
	Body    string `json:"body"`
	TS      int64  `json:"ts"`
}

// body makes the encoded payload about 200 bytes long.
var body = strings.Repeat("x", 90)

// newPayload is the payload of job i.
func newPayload(i int) payload {
	return payload{
		UserID:  int64(i),
		Email:   "someone@example.com",
		Subject: "Welcome to the service",
		Body:    body,
		TS:      time.Now().UnixNano(),
	}
}

// jobKind is the name of the one kind of job there is.
const jobKind = "mail.send"

// mainQueue is served in every measure, idleQueues in the idle one.
const mainQueue = "default"

var idleQueues = []string{mainQueue, "second", "third"}

// systems lists the adapters in the order of the table. A new one is a file
// and a line here.
var systems = []struct {
	name string
	system
}{
	{"asynq", asynqSystem{}},
	{"tidemill", tidemillSystem{}},
}

// systemNames lists the known systems.
func systemNames() []string {
	var names []string
	for _, s := range systems {
		names = append(names, s.name)
	}
	return names
}

// systemNamed finds an adapter.
func systemNamed(name string) (system, bool) {
	for _, s := range systems {
		if s.name == name {
			return s.system, true
		}
	}
	return nil, false
}

// moduleVersion is the version of a module built into this program.
func moduleVersion(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, dep := range info.Deps {
		if dep.Path != path {
			continue
		}
		if dep.Replace != nil {
			return "working tree"
		}
		return dep.Version
	}
	return "unknown"
}
