package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/bridge"
	"github.com/tidemill/tidemill/worker"
)

// reloader reads the file again and gives the running worker what can change.
type reloader struct {
	run      *runCommand
	flags    *cobra.Command
	log      zerolog.Logger
	worker   *worker.Worker
	launcher *launcher
	bridges  *bridge.Set

	mu       sync.Mutex // one reload at a time
	plan     *plan      // as it holds now
	handlers *handlers
}

// reload applies the file, or says why not. A file with a fault changes nothing.
func (r *reloader) reload() {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := r.plan.file.Name
	if err := r.apply(); err != nil {
		for _, line := range strings.Split(err.Error(), "\n") {
			r.log.Error().Str("file", name).Msg(line)
		}
		r.log.Error().Str("file", name).Msg("not reloaded: the worker goes on as before")
	}
}

func (r *reloader) apply() error {
	file, err := loadFile(r.plan.file.Name)
	if err != nil {
		return err
	}
	shared, run := *r.run.command, *r.run // the plan notes there what the file says, and Redis stays where it is
	run.command = &shared
	next, err := run.plan(r.flags, file)
	if err != nil {
		return err
	}
	handlers, err := build(file, r.launcher, r.handlers)
	if err != nil {
		return err
	}
	fixed := r.keep(next)
	if err := r.worker.Reload(handlers.mux, next.config); err != nil {
		handlers.closeUnless(r.handlers)
		return err
	}
	if next.level != r.plan.level { // else what an operator set stays
		if err := setLevel(next.level); err != nil {
			return err
		}
	}
	changes := append(changedSettings(r.plan, next), changedHandlers(r.plan.file, file)...)
	fresh := newKinds(r.plan.file, file)
	r.handlers.closeUnless(handlers)
	r.bridges.Serve(next.subscriptions)
	r.plan, r.handlers = next, handlers
	r.tell(file.Name, changes, fixed, fresh)
	return nil
}

// tell says what a reload came to.
func (r *reloader) tell(name string, changes, fixed, fresh []string) {
	log := r.log.Info()
	if len(changes) == 0 {
		log.Str("file", name).Msg("reloaded: nothing to change")
	} else {
		log.Str("file", name).Strs("changed", changes).Msg("reloaded")
	}
	if len(fresh) > 0 {
		r.log.Info().Strs("kinds", fresh).Msg("jobs that waited for these kinds start at their next look, within 10 minutes; one at once: worker jobs edit QUEUE ID --now")
	}
	if len(fixed) > 0 {
		r.log.Warn().Str("file", name).Strs("fields", fixed).Msg("these cannot change while the worker runs: restart it")
	}
}

// keep puts back in a new plan what cannot change while the worker runs, and names it.
func (r *reloader) keep(next *plan) []string {
	var fixed []string
	old := r.plan
	hold := func(field string, differs bool) {
		if differs {
			fixed = append(fixed, fmt.Sprintf("%s (stays %s)", field, old.value(field)))
			next.put(field, old.value(field))
		}
	}
	hold("redis", old.value("redis") != next.value("redis") || old.url != next.url)
	hold("namespace", old.value("namespace") != next.value("namespace"))
	hold("max_connections", old.client.MaxConnections != next.client.MaxConnections)
	hold("log.format", old.format != next.format)
	hold("listen", old.listen != next.listen)
	next.listen = old.listen
	next.client, next.format, next.url = old.client, old.format, old.url
	hold("session_ttl", old.config.SessionTTL != next.config.SessionTTL)
	hold("crash_limit", old.config.CrashLimit != next.config.CrashLimit)
	hold("strict", old.config.Strict != next.config.Strict)
	c := &next.config
	c.SessionTTL, c.CrashLimit, c.Strict = old.config.SessionTTL, old.config.CrashLimit, old.config.Strict
	if queues, same := sameQueues(old.config.Queues, c.Queues, c.Strict); !same {
		fixed = append(fixed, fmt.Sprintf("queues (stay %s)", strings.Join(queueNames(old.config.Queues), ", ")))
		c.Queues = queues
	}
	next.put("queues", queuesInWords(c.Queues, c.Strict)) // strict may have been put back
	return fixed
}

// sameQueues answers the queues that are served with what a new list says of them, and whether that list holds the same
// ones; in strict order also in the same order.
func sameQueues(old, now []worker.Queue, strict bool) ([]worker.Queue, bool) {
	a, b := queueNames(old), queueNames(now)
	if !strict {
		slices.Sort(a)
		slices.Sort(b)
	}
	kept := slices.Clone(old)
	for i, q := range kept {
		for _, other := range now {
			if other.Name == q.Name {
				kept[i] = other
			}
		}
	}
	return kept, slices.Equal(a, b)
}

func queueNames(queues []worker.Queue) []string {
	names := make([]string, len(queues))
	for i, q := range queues {
		names[i] = q.Name
	}
	return names
}

// changedSettings tells what differs, as "concurrency 20 -> 40".
func changedSettings(old, now *plan) []string {
	var list []string
	for _, s := range now.settings {
		if before := old.value(s.Name); before != s.Value {
			list = append(list, fmt.Sprintf("%s %s -> %s", s.Name, before, s.Value))
		}
	}
	return list
}
