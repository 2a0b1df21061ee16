package bridge

import (
	"fmt"
	"time"

	"github.com/tidemill/tidemill/queue"
)

// Subscription is a topic whose messages become jobs. One of Topic and Pattern is set.
type Subscription struct {
	Topic, Pattern string
	Group          string        // of a durable topic; empty: the topic is live
	Kind, Queue    string        // of the jobs
	Retain         time.Duration // how long jobs are kept after their end; below 0: as package worker has it
}

// String is the subscription in words: "orders (group shipping) to ship in default".
func (s Subscription) String() string {
	return fmt.Sprintf("%s to %s in %s", s.From(), s.Kind, s.Queue)
}

// From is where the messages come from, in words.
func (s Subscription) From() string {
	switch {
	case s.Pattern != "":
		return "pattern " + s.Pattern
	case s.Group != "":
		return fmt.Sprintf("%s (group %s)", s.Topic, s.Group)
	}
	return s.Topic
}

func (s Subscription) options() []queue.Option {
	options := []queue.Option{queue.Queue(s.Queue)}
	if s.Retain >= 0 {
		options = append(options, queue.Retain(s.Retain))
	}
	return options
}
