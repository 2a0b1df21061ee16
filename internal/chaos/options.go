package chaos

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Kind is a sort of fault.
type Kind string

// Kinds of faults.
const (
	Kill     Kind = "kill"     // kill -9 of a worker or producer, started again a little later
	Stop     Kind = "stop"     // SIGSTOP of a worker, SIGCONT later
	Term     Kind = "term"     // SIGTERM of a worker, started again once it is gone
	Link     Kind = "proxy"    // a process's connections are cut, refused, slow, silent, or deliver late
	Loss     Kind = "loss"     // replies of executed commands are lost at random, all the time
	Flush    Kind = "flush"    // SCRIPT FLUSH
	Restart  Kind = "restart"  // the server is killed, stopped or frozen, and goes on later
	Failover Kind = "failover" // a replica takes over; the old primary comes back as one
	Starved  Kind = "starved"  // planned by nobody: the machine was too busy for a process, by its own account
)

// Standalone are the kinds for one server, WithReplica those for a primary and a replica under Sentinel: there clients
// follow the primary by themselves, past any proxy.
var (
	Standalone  = []Kind{Kill, Stop, Term, Link, Loss, Flush, Restart}
	WithReplica = []Kind{Kill, Stop, Term, Flush, Failover}
)

// ParseKinds reads kinds separated by commas.
func ParseKinds(text string) ([]Kind, error) {
	var kinds []Kind
	for word := range strings.SplitSeq(text, ",") {
		kind := Kind(strings.TrimSpace(word))
		if !slices.Contains(Standalone, kind) && kind != Failover {
			return nil, fmt.Errorf("faults: %q; allowed: %s, failover", word, join(Standalone))
		}
		if !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	if slices.Contains(kinds, Failover) && (slices.Contains(kinds, Link) || slices.Contains(kinds, Loss) || slices.Contains(kinds, Restart)) {
		return nil, fmt.Errorf("faults: %q; allowed beside failover: kill, stop, term, flush", text)
	}
	return kinds, nil
}

func join(kinds []Kind) string {
	words := make([]string, len(kinds))
	for i, k := range kinds {
		words[i] = string(k)
	}
	return strings.Join(words, ",")
}

// Options are what a run is made of. Equal ones make equal plans.
type Options struct {
	Seed      uint64
	Jobs      int
	Duration  time.Duration // over which jobs are enqueued and faults strike
	Faults    []Kind
	Workers   int           // processes
	Producers int           // processes
	TTL       time.Duration // of sessions
	KillEvery time.Duration
	LossOneIn int // replies of which one is lost
}

// NewOptions fills in what flags do not choose.
func NewOptions(seed uint64, jobs int, duration time.Duration, faults []Kind) Options {
	return Options{Seed: seed, Jobs: jobs, Duration: duration, Faults: faults, Workers: 4, Producers: 2, TTL: 2 * time.Second,
		KillEvery: 2 * time.Second, LossOneIn: 200}
}

func (o Options) has(k Kind) bool { return slices.Contains(o.Faults, k) }

// Replay is the line that runs the same plan again.
func (o Options) Replay() string {
	return fmt.Sprintf("make chaos SEED=%d JOBS=%d DURATION=%v FAULTS=%s", o.Seed, o.Jobs, o.Duration, join(o.Faults))
}
