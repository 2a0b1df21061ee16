package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/tidemill/tidemill/internal/keys"
)

// Redrive moves given up messages back to the stream, for their group alone: those named, or all that there are now.
func (s *Streams) Redrive(ctx context.Context, topic *keys.Topic, group string, positions []string) (moved int, err error) {
	last := "+"
	if len(positions) == 0 {
		r, err := s.do(ctx, []any{"XREVRANGE", topic.GivenUp(group), "+", "-", "COUNT", 1})
		if err != nil {
			return 0, streamError(err)
		}
		entries := readEntries(r, 0)
		if len(entries) == 0 {
			return 0, r.Err
		}
		last = entries[0].Position
	}
	for {
		args := scriptCall(redriveScript, 3+100, topic.Stream(), topic.GivenUp(group))
		args = append(args, group, topic.Hints(), last)
		bite := positions[:min(len(positions), 100)]
		positions = positions[len(bite):]
		for _, position := range bite {
			args = append(args, position)
		}
		r, err := s.run(ctx, redriveScript, args)
		if err != nil {
			return moved, err
		}
		r.Array()
		r.Number()
		word := r.Text()
		moved += int(r.Number())
		switch {
		case r.Err != nil:
			return moved, r.Err
		case word == "NOGROUP":
			return moved, ErrNoGroup
		case len(bite) > 0 && len(positions) == 0, len(bite) == 0 && word == "DONE":
			return moved, nil
		}
	}
}

// BusyError says that a group has members that live.
type BusyError struct{ Members int64 }

func (e *BusyError) Error() string { return fmt.Sprintf("%d members are subscribed", e.Members) }

// DropGroup deletes a group and what it gave up; ErrNoGroup where there is none.
func (s *Streams) DropGroup(ctx context.Context, topic *keys.Topic, group string) error {
	_, err := s.drop(ctx, topic, "groups", []string{group})
	return err
}

// Drop deletes a topic with its groups; ErrNoGroup where there is none.
func (s *Streams) Drop(ctx context.Context, topic *keys.Topic) error {
	for {
		groups, err := s.groups(ctx, topic)
		if err != nil && !errors.Is(err, ErrNoGroup) {
			return err
		}
		names := make([]string, len(groups))
		for i := range groups {
			names[i] = groups[i].Name
		}
		again, err := s.drop(ctx, topic, "topic", names)
		if again { // a group was made meanwhile
			continue
		}
		if err != nil && !errors.Is(err, ErrNoGroup) {
			return err
		}
		return errors.Join(err, s.unlist(ctx, topic))
	}
}

// unlist takes a topic's name out of the set, unless it was made anew meanwhile.
func (s *Streams) unlist(ctx context.Context, topic *keys.Topic) error {
	if err := s.rdb.SRem(ctx, s.space.Topics(), topic.Name()).Err(); err != nil {
		return s.typedKey(err, s.space.Topics())
	}
	n, err := s.rdb.Exists(ctx, topic.Stream()).Result()
	if err != nil || n == 0 {
		return streamError(err)
	}
	return s.Add(ctx, topic)
}

func (s *Streams) drop(ctx context.Context, topic *keys.Topic, what string, groups []string) (again bool, err error) {
	names := []string{topic.Stream(), topic.About()}
	for _, g := range groups {
		names = append(names, topic.Members(g), topic.Crashed(g), topic.GivenUp(g))
	}
	args := append(scriptCall(dropScript, 1+len(groups), names...), what)
	for _, g := range groups {
		args = append(args, g)
	}
	r, err := s.run(ctx, dropScript, args)
	if err != nil {
		return false, err
	}
	r.Array()
	r.Number()
	switch word, n := r.Text(), r.Number(); word {
	case "BUSY":
		return false, &BusyError{Members: n}
	case "OTHERS":
		return true, nil
	case "GONE":
		return false, ErrNoGroup
	}
	return false, r.Err
}
