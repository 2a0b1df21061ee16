package workerfile

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/pubsub"
	"github.com/tidemill/tidemill/queue"
)

// checkSubscriptions finds what does not go together in them.
func (d *decoder) checkSubscriptions(list []Subscription) {
	if d.file.Has("subscriptions") && len(list) == 0 && !d.faultyBelow("subscriptions") {
		d.bad("subscriptions", "is empty; name a topic, or leave it out%s", such("subscriptions: [{topic: orders, enqueue: {kind: ship}}]"))
	}
	seen := make(map[Subscription]int)
	for i := range list {
		s := &list[i]
		path := SubscriptionField(i)
		d.checkTopic(s, path)
		if s.Enqueue.Kind != "" {
			if err := queue.CheckKind(s.Enqueue.Kind); err != nil {
				d.bad(path+".enqueue.kind", "%v", strings.TrimPrefix(err.Error(), "invalid kind: "))
			} else if strings.Contains(s.Enqueue.Kind, "*") {
				d.bad(path+".enqueue.kind", "%.60q is a pattern; jobs need a kind of their own", s.Enqueue.Kind)
			}
		}
		if name := s.Enqueue.Queue; name != "" {
			if _, err := (keys.Space{}).Queue(name); err != nil {
				d.bad(path+".enqueue.queue", "%s", nameFault(err))
			}
		}
		same := *s
		same.Enqueue.Retain = nil
		if at, twice := seen[same]; twice && !d.faultyBelow(path) {
			d.bad(path, "says what %s says; leave one of them out", SubscriptionField(at))
		}
		seen[same] = i
	}
}

// SubscriptionField is the path of a subscription by its place in the list.
func SubscriptionField(i int) string { return fmt.Sprintf("subscriptions[%d]", i) }

func (d *decoder) checkTopic(s *Subscription, path string) {
	topic, pattern := d.file.Has(path+".topic"), d.file.Has(path+".pattern")
	switch {
	case topic && pattern:
		last := ".pattern"
		if d.file.offset(path+".topic") > d.file.offset(path+".pattern") {
			last = ".topic"
		}
		d.bad(path+last, "topic and pattern stand beside each other; allowed: one of them")
		return
	case !topic && !pattern && !d.faultyBelow(path):
		d.bad(path, "has nothing to subscribe to; give one of topic, pattern")
		return
	}
	if s.Topic != "" {
		d.checkTopicName(path+".topic", s.Topic, s.Durable != "")
	}
	if s.Pattern != "" {
		d.checkTopicName(path+".pattern", s.Pattern, false)
	}
	switch {
	case s.Durable == "":
	case s.Pattern != "":
		d.bad(path+".durable", "does not go with pattern: each durable topic has a stream of its own; name them one by one with topic")
	default:
		if err := keys.CheckGroup(s.Durable); err != nil {
			d.bad(path+".durable", "%s", nameFault(err))
		}
	}
}

// checkTopicName says what package pubsub would of a topic's name.
func (d *decoder) checkTopicName(path, name string, durable bool) {
	if durable {
		if _, err := (keys.Space{}).Topic(name); err != nil {
			d.bad(path, "%s", nameFault(err))
		}
		return
	}
	if len(name) > pubsub.MaxName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		d.bad(path, "%.60q is no topic; allowed: 1 to %d bytes of text without control characters", name, pubsub.MaxName)
	}
}
