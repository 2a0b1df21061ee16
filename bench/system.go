package main

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidemill/tidemill/bench/internal/rig"
)

// system is one job system.
type system interface {
	// Version is the version that is measured.
	Version() string
	// Command is the process that does a step.
	Command(ctx context.Context, step string, spec stepSpec) (*exec.Cmd, error)
	// Missing says why it cannot be measured on this machine, or nil.
	Missing() error
}

// adapter is a system in Go: one file each (system_asynq.go). It uses the
// system as its manual tells users to, and leaves every setting but
// concurrency, queues and GOMAXPROCS at its default, or the README says which other it
// has because it is faster.
type adapter interface {
	// Module is the Go module path, from which the version is read.
	Module() string
	// Open returns a client on a server, which it prepares if need be.
	Open(ctx context.Context, b rig.Broker) (client, error)
	// Work runs a worker until ctx ends and returns nil after a clean stop.
	// It decodes each payload once with encoding/json and then calls handle,
	// from as many goroutines as spec.Concurrency.
	Work(ctx context.Context, spec workSpec, handle func(rig.Payload)) error
}

// inGo makes an adapter a system whose steps this program does.
type inGo struct {
	adapter
	server rig.Kind
}

func (g inGo) Version() string { return rig.ModuleVersion(g.Module()) }

func (g inGo) Command(ctx context.Context, step string, spec stepSpec) (*exec.Cmd, error) {
	cmd, err := rig.Command(ctx, step, spec)
	if err == nil && spec.Procs > 0 {
		cmd.Env = append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(spec.Procs))
	}
	return cmd, err
}

// Skips says why a measure is not taken of the system, or nothing where it is.
func (g inGo) Skips(measure string) string {
	if k, ok := g.adapter.(skipper); ok {
		return k.Skips(measure)
	}
	return ""
}

func (g inGo) Missing() error { return rig.Available(g.server) }

// skipper is a system, or an adapter, of which some measures are not taken.
type skipper interface {
	// Skips says why a measure is not taken, or nothing where it is.
	Skips(measure string) string
}

// skipped is the remark in place of a measure that is not taken of a system, or nil.
func skipped(system, measure string) error {
	sys, _ := systemNamed(system)
	if k, ok := sys.(skipper); ok && k.Skips(measure) != "" {
		return rig.Remark(k.Skips(measure))
	}
	return nil
}

// client is the enqueuing side of a system. It is safe for concurrent use.
type client interface {
	// Enqueue encodes p with encoding/json and adds one job to the queue, to
	// run after delay; 0 means at once. It returns errors.ErrUnsupported for
	// a delay if there are none.
	Enqueue(ctx context.Context, queue string, p rig.Payload, delay time.Duration) error
	// EnqueueMany adds all of ps in the system's own batch call, or returns
	// errors.ErrUnsupported if there is none.
	EnqueueMany(ctx context.Context, queue string, ps []rig.Payload) error
	// Backlog counts the jobs of a queue. It must be cheap, as it is polled
	// each millisecond at the end of a drain.
	Backlog(ctx context.Context, queue string) (backlog, error)
	Close() error
}

// workSpec says what a worker serves.
type workSpec struct {
	Broker      rig.Broker
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

// mainQueue is served in every measure, idleQueues in the idle one.
const mainQueue = "default"

var idleQueues = []string{mainQueue, "second", "third"}

// entry is a system as it is measured.
type entry struct {
	name string
	system
	// label is how -systems names it unless told otherwise: with the
	// concurrency at which it drains fastest where that is not the default.
	label string
	// share divides the number of jobs, so that the slower ones take no more
	// than some seconds.
	share int
	// optional ones are left out unless they are asked for.
	optional bool
	// all is that its processes do better with all processors than with half of them, as measured here.
	all bool
	// promise is what becomes of a job, in a few words, so that figures of different promises are not taken for like.
	promise string
}

// systems lists the systems in the order of the table. A new one is a file and a line here; one that drags in much is behind a
// build tag, and adds its line itself (system_machinery.go).
var systems = []entry{
	{"asynq", inGo{asynqSystem{}, rig.Redis}, "asynq", 4, false, false, "at least once: a lease of 30 s; retries, dead tasks, delays to the second; no batch call; polls"},
	{"rmq", inGo{rmqSystem{}, rig.Redis}, "rmq@30", 8, false, false, "at least once where a cleaner runs beside it: back after a minute; no ids, backoff, delays or dedupe; polls"},
	{"gocraft", inGo{gocraftSystem{}, rig.Redis}, "gocraft@30", 4, false, false, "at least once: back after up to 10 minutes; retries, dead jobs, delays to the second; no batch call; polls"},
	{"watermill", inGo{watermillSystem{}, rig.Redis}, "watermill", 8, false, true, "at least once: a stream and its group; no backoff, delays, dead messages or dedupe of its own; what is acknowledged stays"},
	{"river", inGo{riverSystem{}, rig.Postgres}, "river@1000", 16, false, false, "at least once, durable and transactional, on Postgres; its fsync is off here; finished jobs stay for a day"},
	{"bullmq", nodeSystem("bullmq"), "bullmq", 8, false, false, "at least once: a lock of 30 s; retries, delays, priorities; finished jobs are removed; one thread"},
	{"bee-queue", nodeSystem("bee-queue"), "bee-queue", 8, false, false, "at least once: stalled jobs come back after 5 to 10 s; retries, delays; no events, finished jobs are removed; one thread"},
	{"sidekiq", sidekiqSystem{}, "sidekiq@25", 8, true, false, "at most once: a popped job is gone with its process; retries, delays of 5 s or so; one thread at a time"},
	{"python", pythonSystem{}, "python", 8, true, false, "at most once: RPUSH and BLPOP; no ids, acknowledgements, retries or delays; one thread"},
	{bare, inGo{bareSystem{}, rig.Redis}, bare, 8, true, false, "at most once: RPUSH and BLPOP of go-redis; no ids, acknowledgements, retries or delays; one goroutine"},
	{alone, inGo{tidemillSystem{}, rig.Redis}, alone, 1, false, false, "at least once, fenced by claim tokens: back after 6 s; retries, dead jobs, exact delays, priorities, dedupe by id"},
	{"tidemill-metrics", inGo{tidemillSystem{metrics: true}, rig.Redis}, "tidemill-metrics", 1, true, false, "the same, every job measured, read each second"},
}

// systemNames lists the known systems.
func systemNames() []string {
	var names []string
	for _, s := range systems {
		names = append(names, s.name)
	}
	return names
}

// availableSystems lists what is measured unless told otherwise, or all that
// can be, and why others are not.
func availableSystems(all bool) (names, remarks []string) {
	for _, s := range systems {
		if s.optional && !all {
			continue
		}
		if err := s.Missing(); err != nil {
			remarks = append(remarks, "left out: "+s.name+": "+err.Error())
			continue
		}
		names = append(names, s.label)
	}
	return names, remarks
}

// systemNamed finds a system.
func systemNamed(name string) (system, bool) {
	i := slices.Index(systemNames(), name)
	if i < 0 {
		return nil, false
	}
	return systems[i].system, true
}

// shareOf is by what the number of jobs is divided for a system.
func shareOf(name string) int { return systems[slices.Index(systemNames(), name)].share }

// promiseOf is what becomes of its jobs.
func promiseOf(name string) string { return systems[slices.Index(systemNames(), name)].promise }

// hasAll tells a system whose processes do better with all processors.
func hasAll(name string) bool { return systems[slices.Index(systemNames(), name)].all }

// labelOf is how a system is named unless told otherwise.
func labelOf(name string) string { return systems[slices.Index(systemNames(), name)].label }

// systemOf is the system that a column is named after, such as "asynq@10".
func systemOf(column string) string {
	name, _, _ := strings.Cut(column, "@")
	return name
}

// serverOf is what a system runs on.
func serverOf(name string) rig.Kind {
	if sys, _ := systemNamed(name); sys != nil {
		if g, ok := sys.(inGo); ok {
			return g.server
		}
	}
	return rig.Redis
}
