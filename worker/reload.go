package worker

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tidemill/tidemill/queue"
)

// ReloadError is what Reload returns for settings that only a new worker can have. Nothing was changed.
type ReloadError struct {
	Fields []string // of Config, in its order
}

func (e *ReloadError) Error() string {
	return "cannot change while the worker runs: " + strings.Join(e.Fields, ", ")
}

// Reload changes a worker's handlers and settings while it runs, or before. Jobs that are started from now on get the
// new handlers, attempts under way go on as they began; a nil mux leaves the handlers as they are. Of the Config it takes
// Concurrency, the Weight, Concurrency and Lifecycle of the queues served, Retry, Timeout, Drain, Settle and StuckAfter. With fewer
// slots than handlers that run nothing more starts until enough have returned.
//
// Config is the whole of it, as New takes it: zero values mean the defaults. What differs in other fields is a
// *ReloadError, what is not valid an ErrInvalid with every fault; either way nothing changes. Safe for concurrent use.
func (w *Worker) Reload(mux *Mux, config Config) error {
	if err := config.prepare(w.broker.Space()); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if fields := fixedFields(&w.config, &config); len(fields) > 0 {
		return &ReloadError{Fields: fields}
	}
	if mux != nil {
		w.rules.Store(newRouting(mux.sealed(w.codecs()), &config))
		w.unknown = make(map[string]time.Time) // what is unknown now is to be told anew
	} else {
		w.rules.Store(w.rules.Load().with(&config))
	}
	to := &w.config
	to.Concurrency, to.Retry, to.Timeout = config.Concurrency, config.Retry, config.Timeout
	to.Drain, to.Settle, to.StuckAfter = config.Drain, config.Settle, config.StuckAfter
	to.Queues = slices.Clone(to.Queues)
	for _, q := range config.Queues {
		w.reloadQueueLocked(q)
	}
	w.startLocked()
	w.nudgeLane() // there may be free slots now
	w.announcer.tell()
	return nil
}

// reloadQueueLocked gives a queue its new share and bound. What was fetched ahead under a wider bound goes back.
func (w *Worker) reloadQueueLocked(q Queue) {
	for i, c := range w.consumers {
		if c.name != q.Name {
			continue
		}
		narrower := q.Concurrency > 0 && (c.limit == 0 || q.Concurrency < c.limit)
		c.weight, c.limit, c.deficit = q.Weight, q.Concurrency, 0
		c.tells.Store(q.Lifecycle)
		w.config.Queues[i] = q
		if narrower {
			w.giveBackLocked(func(r *run) bool { return r.c == c })
		}
	}
}

// fixedFields names what differs and cannot change. Both are prepared.
func fixedFields(old, now *Config) []string {
	var fields []string
	differs := func(field string, is bool) {
		if is {
			fields = append(fields, field)
		}
	}
	names := func(c *Config) []string {
		list := make([]string, len(c.Queues))
		for i, q := range c.Queues {
			list[i] = q.Name
		}
		if !old.Strict || !now.Strict { // by weight their order means nothing
			slices.Sort(list)
		}
		return list
	}
	codecs := func(c *Config) []string {
		list := make([]string, len(c.Codecs))
		for i, codec := range c.Codecs {
			list[i] = fmt.Sprintf("%T %s", codec, codec.Name())
		}
		return list
	}
	differs("Queues", !slices.Equal(names(old), names(now)))
	differs("Strict", old.Strict != now.Strict)
	differs("SessionTTL", old.SessionTTL != now.SessionTTL)
	differs("CrashLimit", old.CrashLimit != now.CrashLimit)
	differs("ExitWhenEmpty", old.ExitWhenEmpty != now.ExitWhenEmpty)
	differs("Codecs", !slices.Equal(codecs(old), codecs(now)))
	differs("Logger", old.Logger != now.Logger)
	return fields
}

// settings is the Config as it stands now.
func (w *Worker) settings() Config {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.config
}

// codecs are all that payloads may be in.
func (w *Worker) codecs() []queue.Codec {
	return append(slices.Clone(w.config.Codecs), w.client.Engine().Codec)
}
