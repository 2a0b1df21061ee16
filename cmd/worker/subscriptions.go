package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/internal/bridge"
	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/internal/monitor"
	"github.com/tidemill/tidemill/internal/workerfile"
	"github.com/tidemill/tidemill/pubsub"
	"github.com/tidemill/tidemill/queue"
)

// takeSubscriptions is what only the file may say of messages.
func (p *plan) takeSubscriptions() {
	p.take(nil, "", "subscriptions", func(f *workerfile.File) {
		for _, s := range f.Subscriptions {
			one := bridge.Subscription{Topic: s.Topic, Pattern: s.Pattern, Group: s.Durable, Kind: s.Enqueue.Kind,
				Queue: cmp.Or(s.Enqueue.Queue, queue.DefaultQueue), Retain: -1}
			if s.Enqueue.Retain != nil {
				one.Retain = *s.Enqueue.Retain
			}
			p.subscriptions = append(p.subscriptions, one)
		}
	}, func() string {
		words := make([]string, len(p.subscriptions))
		for i, s := range p.subscriptions {
			words[i] = s.String()
		}
		return cmp.Or(strings.Join(words, ", "), "none")
	})
}

// subscribed makes jobs of messages while the worker runs. The server, which may be nil, tells their numbers.
func (p *plan) subscribed(client *queue.Client, server *monitor.Server, log zerolog.Logger) *bridge.Set {
	set := bridge.New(client, log)
	set.Watch(func(messages *pubsub.Client) {
		if err := server.WatchMessages(messages); err != nil {
			log.Error().Err(err).Msg("the numbers of messages are not served")
		}
	})
	set.Serve(p.subscriptions)
	return set
}

// unserved are notes about jobs that messages become and that this file has no handler for, or whose queue it does not serve.
func (p *plan) unserved() []string {
	var notes []string
	for _, s := range p.subscriptions {
		if kinds := handled(p.file); !slices.ContainsFunc(kinds, func(kind string) bool { return serves(kind, s.Kind) }) {
			notes = append(notes, fmt.Sprintf("messages of %s become jobs of kind %s, which no handler here serves%s", s.From(), s.Kind, guess(s.Kind, kinds)))
		}
		if names := queueNames(p.config.Queues); !slices.Contains(names, s.Queue) {
			notes = append(notes, fmt.Sprintf("messages of %s become jobs in queue %s, which is not served here%s", s.From(), s.Queue, guess(s.Queue, names)))
		}
	}
	return notes
}

// handled are the kinds and patterns of a file's handlers.
func handled(file *workerfile.File) []string {
	kinds := make([]string, len(file.Handlers))
	for i, h := range file.Handlers {
		kinds[i] = h.Kind
	}
	return kinds
}

// serves tells whether a handler's kind, which may be a pattern, is meant by a job's.
func serves(handler, kind string) bool {
	prefix, pattern := strings.CutSuffix(handler, "*")
	return handler == kind || pattern && strings.HasPrefix(kind, prefix)
}

func guess(name string, names []string) string {
	if near := cli.Nearest(name, names); near != "" {
		return fmt.Sprintf(" (did you mean %s?)", near)
	}
	return ""
}
