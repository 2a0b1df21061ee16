package main

import (
	"strings"

	"github.com/spf13/pflag"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/queue"
)

// jobFlags is a job's options as flags. For a stream they are what lines leave out.
type jobFlags struct {
	queue, id                     string
	in, timeout, expireIn, retain durationValue
	at, deadline, expireAt        timeValue
	priority, maxAttempts         intValue
	meta                          []string
}

func (f *jobFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.queue, "queue", "", "`name` of the queue (default \""+queue.DefaultQueue+"\")")
	flags.StringVar(&f.id, "id", "", "your own id: a UUID, or any text of up to 256 bytes; there is one job of it at a time")
	flags.Var(&f.in, "in", "delay, such as 90s or 1h30m")
	flags.Var(&f.at, "at", "start time: RFC 3339, or Unix time in s or ms")
	flags.Var(&f.priority, "priority", "0 to 9, 9 first (default 0)")
	flags.Var(&f.maxAttempts, "max-attempts", "tries before the job is dead (default 25)")
	flags.Var(&f.timeout, "timeout", "of one attempt (default: the worker's)")
	flags.Var(&f.deadline, "deadline", "no attempt runs beyond this time")
	flags.Var(&f.expireIn, "expire-in", "drop the job unless it started by then")
	flags.Var(&f.expireAt, "expire-at", "the same as a time")
	flags.Var(&f.retain, "retain", "keep the finished job this long (default: not at all)")
	flags.StringArrayVar(&f.meta, "meta", nil, "metadata as `key=value`, repeatable")
}

// check finds what no Redis is needed for; the limits themselves are the queue's to know.
func (f *jobFlags) check(flags *pflag.FlagSet) error {
	for _, pair := range [][2]string{{"in", "at"}, {"expire-in", "expire-at"}} {
		if flags.Changed(pair[0]) && flags.Changed(pair[1]) {
			return cli.Usagef("give --%s or --%s, not both", pair[0], pair[1])
		}
	}
	for _, pair := range f.meta {
		if key, _, found := strings.Cut(pair, "="); !found || key == "" {
			return cli.Usagef("--meta %q: want key=value", pair)
		}
	}
	return nil
}

// options answers those that were given.
func (f *jobFlags) options(flags *pflag.FlagSet) []queue.Option {
	var out []queue.Option
	add := func(name string, option queue.Option) {
		if flags.Changed(name) {
			out = append(out, option)
		}
	}
	add("queue", queue.Queue(f.queue))
	add("id", queue.ID(f.id))
	add("in", queue.In(f.in.Duration))
	add("at", queue.At(f.at.Time))
	add("priority", queue.Priority(f.priority.n))
	add("max-attempts", queue.MaxAttempts(f.maxAttempts.n))
	add("timeout", queue.Timeout(f.timeout.Duration))
	add("deadline", queue.Deadline(f.deadline.Time))
	add("expire-in", queue.ExpireIn(f.expireIn.Duration))
	add("expire-at", queue.ExpireAt(f.expireAt.Time))
	add("retain", queue.Retain(f.retain.Duration))
	for _, pair := range f.meta {
		key, value, _ := strings.Cut(pair, "=")
		out = append(out, queue.Meta(key, value))
	}
	return out
}
