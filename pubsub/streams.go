package pubsub

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/tidemill/tidemill/internal/bus"
	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/wire"
)

// Streams inspects and steers the durable topics of a client's namespace, whatever the types of their messages. Safe for
// concurrent use. Its errors are ErrInvalid, ErrNotFound, ErrInUse, ErrFull, ErrNotPermitted, ErrUnavailable, *KeyTypeError
// and what ended ctx.
type Streams struct{ client *Client }

// Streams answers the client's durable topics.
func (c *Client) Streams() *Streams { return &Streams{c} }

// StreamInfo is what there is to know of a durable topic. Its numbers are read one after another: under load they may not
// fit together to the last message.
type StreamInfo struct {
	Topic       string
	Length      int64         // messages that are kept
	First, Last time.Time     // when the oldest and the newest of them came, by the server's clock; zero where there is none
	KeepCount   int64         // retention, as the last publish set it; 0 = without bound
	KeepFor     time.Duration // the same
	Groups      []GroupInfo   // by name
}

// GroupInfo is one group of a topic.
type GroupInfo struct {
	Group         string
	Members       int           // that gave a sign of life within their TTL
	Lag           int64         // messages not delivered yet
	Pending       int64         // delivered, not acknowledged
	OldestPending time.Duration // since the oldest of the pending ones came to the topic; 0 where there is none
	Dead          int64         // messages that the group gave up
}

// DeadMessage is one that a group gave up. They are kept for 90 days.
type DeadMessage struct {
	Message[Raw]        // its Position is that among the dead, which Redrive takes; its Attempt the number of them
	Group        string // whose it is
	Origin       string // its position in the topic
	Error        string // of the last attempt
	DiedAt       time.Time
}

// List answers the names of the namespace's durable topics, sorted.
func (s *Streams) List(ctx context.Context) ([]string, error) {
	if err := s.client.closed(); err != nil {
		return nil, err
	}
	names, err := s.client.streams.Names(ctx)
	slices.Sort(names)
	if err != nil {
		return nil, fmt.Errorf("list durable topics: %w", outward(err))
	}
	return names, nil
}

// Info reads a topic's numbers. Counting the lag reads what is not delivered where the server does not know (Redis 6.2, or a
// group that began in the middle): 1,000 messages a round trip.
func (s *Streams) Info(ctx context.Context, topic string) (*StreamInfo, error) {
	k, err := s.topic(topic, "")
	if err != nil {
		return nil, err
	}
	a, err := s.client.streams.About(ctx, k)
	if err == nil && !a.Exists {
		err = bus.ErrNoGroup
	}
	if err != nil {
		return nil, aboutTopic(topic, "", err)
	}
	info := &StreamInfo{Topic: topic, Length: a.Length, First: bus.PositionTime(a.First), Last: bus.PositionTime(a.Last),
		KeepCount: a.Keep.Count, KeepFor: a.Keep.Age}
	for _, g := range a.Groups {
		one := GroupInfo{Group: g.Name, Members: int(g.Members), Lag: g.Lag, Pending: g.Pending, Dead: g.Dead}
		if g.Oldest != "" {
			one.OldestPending = max(time.UnixMilli(a.NowMS).Sub(bus.PositionTime(g.Oldest)), 0)
		}
		info.Groups = append(info.Groups, one)
	}
	slices.SortFunc(info.Groups, func(a, b GroupInfo) int { return strings.Compare(a.Group, b.Group) })
	return info, nil
}

// topic checks names.
func (s *Streams) topic(name, group string) (*keys.Topic, error) {
	k, err := s.client.space.Topic(name)
	if err == nil && group != "" {
		err = keys.CheckGroup(group)
	}
	if err != nil {
		return nil, fmt.Errorf("%w %w", ErrInvalid, err)
	}
	return k, s.client.closed()
}

// Dead yields the messages that a group gave up, the oldest first. An error is the last.
func (s *Streams) Dead(ctx context.Context, topic, group string) iter.Seq2[*DeadMessage, error] {
	return func(yield func(*DeadMessage, error) bool) {
		k, err := s.steered(topic, group)
		after := "0-0"
		for err == nil {
			var page []bus.GivenUp
			if page, err = s.client.streams.GivenUp(ctx, k, group, after, replayAtMost); err != nil {
				err = aboutTopic(topic, group, err)
				break
			}
			for _, g := range page {
				after = g.Position
				if !yield(deadMessage(topic, group, g), nil) {
					return
				}
			}
			if len(page) < replayAtMost {
				return
			}
		}
		yield(nil, err)
	}
}

func deadMessage(topic, group string, g bus.GivenUp) *DeadMessage {
	envelope := wire.DecodeMessage(g.Data)
	d := &DeadMessage{Group: group, Origin: g.Origin, Error: g.Error, DiedAt: bus.PositionTime(g.Position)}
	d.ID, d.Topic, d.Meta, d.Data = envelope.ID, topic, envelope.Meta, envelope.Data
	if envelope.Time != 0 {
		d.Time = time.UnixMicro(envelope.Time)
	}
	d.Position, d.Attempt = g.Position, g.Attempts
	return d
}

// steered is topic for a verb about one group.
func (s *Streams) steered(topic, group string) (*keys.Topic, error) {
	if group == "" {
		return nil, invalid("group", `""`, "a group's name")
	}
	return s.topic(topic, group)
}

// Redrive puts dead messages back to the end of the topic, for their group alone, with all attempts before them: those at
// the positions named (DeadMessage.Position), or all that there are. It answers how many; positions that are not there are
// left out. When it fails some may have been moved; the number says how many surely were.
func (s *Streams) Redrive(ctx context.Context, topic, group string, positions ...string) (int, error) {
	k, err := s.steered(topic, group)
	if err != nil {
		return 0, err
	}
	for _, position := range positions {
		if !bus.IsPosition(position) {
			return 0, invalid("position", fmt.Sprintf("%.60q", position), "a DeadMessage's Position")
		}
	}
	n, err := s.client.streams.Redrive(ctx, k, group, positions)
	return n, aboutTopic(topic, group, err)
}

// DeleteGroup deletes a group with its dead messages. While it has members it is ErrInUse.
func (s *Streams) DeleteGroup(ctx context.Context, topic, group string) error {
	k, err := s.steered(topic, group)
	if err != nil {
		return err
	}
	return aboutTopic(topic, group, s.client.streams.DropGroup(ctx, k, group))
}

// Delete deletes a topic with its messages and groups. While a group has members it is ErrInUse.
func (s *Streams) Delete(ctx context.Context, topic string) error {
	k, err := s.topic(topic, "")
	if err != nil {
		return err
	}
	return aboutTopic(topic, "", s.client.streams.Drop(ctx, k))
}
