package pubsubtest

import (
	"errors"
	"fmt"
	"time"

	"github.com/tidemill/tidemill/pubsub"
)

// What the cases of slow consumers publish, and the room of a subscription that does not read.
const (
	flood = 50
	room  = 8
)

// unread floods a subscription that does not read.
func unread(c *trial, policy pubsub.Policy) (*pubsub.Topic[tick], *pubsub.Subscription[tick]) {
	c.Helper()
	topic := topicOf[tick](c, c.Client(), c.name("slow"))
	s := subscribe(c, topic, pubsub.Buffer(room), pubsub.WhenFull(policy))
	publish(c, topic, 0, flood)
	return topic, s
}

// rest reads up to the message numbered last, and answers the numbers of all and how many a Gap said to be missing.
func rest(c *trial, s *pubsub.Subscription[tick], last int) (numbers []int, missed uint64) {
	c.Helper()
	for {
		m, err := s.Next(c.ctx)
		var gap *pubsub.Gap
		switch {
		case errors.As(err, &gap):
			missed += gap.Missed
			if gap.Reason == "" {
				c.Error("a Gap without a reason")
			}
		case err != nil:
			c.Fatalf("after %v: %v", numbers, err)
		default:
			if numbers = append(numbers, m.Data.N); m.Data.N == last {
				return numbers, missed
			}
		}
	}
}

func wantNumbers(c *trial, got []int, want string) {
	c.Helper()
	if fmt.Sprint(got) != want {
		c.Errorf("got %v, want %s", got, want)
	}
}

// The newest stay, and the subscriber is told how many did not.
func dropOldest(c *trial) {
	_, s := unread(c, pubsub.DropOldest)
	c.waitFor(func() bool { return s.Dropped() == flood-room }, "the oldest to be dropped")
	numbers, missed := rest(c, s, flood-1)
	wantNumbers(c, numbers, "[42 43 44 45 46 47 48 49]")
	if missed != flood-room {
		c.Errorf("gaps tell of %d messages, want %d", missed, flood-room)
	}
}

// The oldest stay, and the subscriber is told how many came after them.
func dropNewest(c *trial) {
	topic, s := unread(c, pubsub.DropNewest)
	c.waitFor(func() bool { return s.Dropped() == flood-room }, "the newest to be dropped")
	wantTicks(c, take(c, s, room), 0)
	publish(c, topic, flood, flood+1)
	numbers, missed := rest(c, s, flood)
	wantNumbers(c, numbers, "[50]")
	if missed != flood-room {
		c.Errorf("gaps tell of %d messages, want %d", missed, flood-room)
	}
}

// What is in the buffer is delivered, then the end.
func closeWhenSlow(c *trial) {
	_, s := unread(c, pubsub.CloseWhenSlow)
	c.waitFor(func() bool { return s.Err() != nil }, "the subscription to end")
	for n, err := 0, error(nil); err == nil; n++ {
		var m *pubsub.Message[tick]
		if m, err = s.Next(c.ctx); err == nil && m.Data.N != n {
			c.Fatalf("got number %d, want %d", m.Data.N, n)
		} else if err != nil && !errors.Is(err, pubsub.ErrSlowConsumer) {
			c.Fatalf("it ended with %v", err)
		}
	}
	if !errors.Is(s.Err(), pubsub.ErrSlowConsumer) {
		c.Errorf("Err is %v", s.Err())
	}
}

// As many as the buffer holds once more wait for room; who is too slow for that is told.
func block(c *trial) {
	topic := topicOf[tick](c, c.Client(), c.name("block"))
	patient := subscribe(c, topic, pubsub.Buffer(room), pubsub.WhenFull(pubsub.Block(time.Minute)))
	hasty := subscribe(c, topic, pubsub.Buffer(room), pubsub.WhenFull(pubsub.Block(time.Millisecond)))
	publish(c, topic, 0, 2*room)
	c.waitFor(func() bool { return hasty.Dropped() > 0 }, "the hasty one to lose messages")
	wantTicks(c, take(c, patient, 2*room), 0)
	if n := patient.Dropped(); n != 0 {
		c.Errorf("the patient one lost %d messages", n)
	}
}

// A consumer that does not read costs its neighbours nothing.
func slowBesideFast(c *trial) {
	client := c.Client()
	topic := topicOf[tick](c, client, c.name("beside"))
	slow := subscribe(c, topic, pubsub.Buffer(1))
	var fast []*pubsub.Subscription[tick]
	for range 10 {
		fast = append(fast, subscribe(c, topic, pubsub.Buffer(2*flood)))
	}
	publish(c, topic, 0, flood)
	for _, s := range fast {
		wantTicks(c, take(c, s, flood), 0)
	}
	c.waitFor(func() bool { return slow.Dropped() == flood-1 }, "the slow one to be counted")
	if got := client.Stats().Dropped; got != flood-1 {
		c.Errorf("the client counts %d dropped messages, want %d", got, flood-1)
	}
}
