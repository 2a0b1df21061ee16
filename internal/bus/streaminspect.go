package bus

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/tidemill/tidemill/internal/keys"
)

// About is what there is to know of a topic.
type About struct {
	Exists      bool
	Length      int64
	First, Last string // positions, "" = it is empty
	NowMS       int64  // the server's clock
	Keep        Retention
	Groups      []AboutGroup
}

// AboutGroup is one group of it.
type AboutGroup struct {
	Name                  string
	Last                  string // position that it was given last
	Members, Lag, Pending int64
	Oldest                string // position of the first pending message, "" = none
	Dead                  int64
}

// About reads a topic's numbers. They are read one after another: under load they may not fit to the last message.
func (s *Streams) About(ctx context.Context, topic *keys.Topic) (About, error) {
	var a About
	var err error
	if a.NowMS, err = s.clock(ctx, topic); err != nil {
		return a, err
	}
	n, err := s.rdb.Exists(ctx, topic.Stream()).Result()
	if err != nil || n == 0 {
		return a, streamError(err)
	}
	a.Exists = true
	if a.Length, err = s.rdb.XLen(ctx, topic.Stream()).Result(); err != nil {
		return a, s.typedKey(err, topic.Stream())
	}
	if a.Keep, err = s.Keep(ctx, topic); err != nil {
		return a, err
	}
	if a.First, err = s.edge(ctx, "XRANGE", topic, "-", "+"); err != nil {
		return a, err
	}
	if a.Last, err = s.edge(ctx, "XREVRANGE", topic, "+", "-"); err != nil {
		return a, err
	}
	if a.Groups, err = s.groups(ctx, topic); err != nil {
		return a, err
	}
	for i := range a.Groups {
		if err := s.aboutGroup(ctx, topic, &a.Groups[i], a.NowMS, a.Length); err != nil && !errors.Is(err, ErrNoGroup) {
			return a, err
		}
	}
	return a, nil
}

func (s *Streams) typedKey(err error, key string) error {
	if err != nil && strings.Contains(err.Error(), "WRONGTYPE") {
		return &KeyTypeError{Key: key}
	}
	return streamError(err)
}

// clock is the time (ms) of the server that the topic is on: in a Cluster each has its own.
func (s *Streams) clock(ctx context.Context, topic *keys.Topic) (int64, error) {
	const end = "18446744073709551615-18446744073709551614" // nothing lies behind it
	r, err := s.run(ctx, countScript, append(scriptCall(countScript, 1, topic.Stream()), end))
	if err != nil {
		return 0, err
	}
	r.Array()
	return r.Number() / 1000, r.Err
}

// edge is the position of a stream's first or last message.
func (s *Streams) edge(ctx context.Context, command string, topic *keys.Topic, from, to string) (string, error) {
	r, err := s.do(ctx, []any{command, topic.Stream(), from, to, "COUNT", 1})
	if err != nil {
		return "", streamError(err)
	}
	for _, e := range readEntries(r, 0) {
		return e.Position, r.Err
	}
	return "", r.Err
}

// groups lists a topic's groups with their lag where the server knows it, else -1.
func (s *Streams) groups(ctx context.Context, topic *keys.Topic) ([]AboutGroup, error) {
	r, err := s.do(ctx, []any{"XINFO", "GROUPS", topic.Stream()})
	if err != nil {
		return nil, streamError(err)
	}
	out := make([]AboutGroup, r.Array())
	for i := range out {
		g, counted := &out[i], false
		g.Lag = -1
		for range r.Array() / 2 {
			switch r.Text() {
			case "name":
				g.Name = r.Text()
			case "last-delivered-id":
				g.Last = r.Text()
			case "pending":
				g.Pending = r.Number()
			case "entries-read": // without it a lag is an estimate, or what the embedded server says instead
				counted = r.Bytes() != nil
			case "lag":
				if text := r.Text(); text != "" {
					g.Lag, _ = strconv.ParseInt(text, 10, 64)
				}
			default:
				r.Skip()
			}
		}
		if !counted {
			g.Lag = -1
		}
	}
	return out, r.Err
}

func (s *Streams) aboutGroup(ctx context.Context, topic *keys.Topic, g *AboutGroup, nowMS, length int64) error {
	members, err := s.rdb.ZCount(ctx, topic.Members(g.Name), strconv.FormatInt(nowMS, 10), "+inf").Result()
	if err != nil {
		return s.typedKey(err, topic.Members(g.Name))
	}
	g.Members = members
	if g.Dead, err = s.rdb.XLen(ctx, topic.GivenUp(g.Name)).Result(); err != nil {
		return s.typedKey(err, topic.GivenUp(g.Name))
	}
	r, err := s.do(ctx, []any{"XPENDING", topic.Stream(), g.Name})
	if err != nil {
		return streamError(err)
	}
	r.Array()
	g.Pending, g.Oldest = r.Number(), r.Text()
	if r.Err != nil {
		return r.Err
	}
	if g.Lag >= 0 {
		g.Lag = min(g.Lag, length) // what was trimmed before it was delivered is counted too
		return nil
	}
	g.Lag, err = s.lag(ctx, topic, g.Last)
	return err
}

// lag counts what lies behind a position, for servers that do not know.
func (s *Streams) lag(ctx context.Context, topic *keys.Topic, last string) (int64, error) {
	total := int64(0)
	for {
		args := append(scriptCall(countScript, 1, topic.Stream()), last)
		r, err := s.run(ctx, countScript, args)
		if err != nil {
			return 0, err
		}
		r.Array()
		r.Number()
		n := r.Number()
		last = r.Text()
		if total += n; n < 1000 || r.Err != nil {
			return total, r.Err
		}
	}
}

// Range reads up to n messages from a position on, up to another ("+" = all).
func (s *Streams) Range(ctx context.Context, topic *keys.Topic, from, upto string, n int) ([]Entry, error) {
	r, err := s.do(ctx, []any{"XRANGE", topic.Stream(), from, upto, "COUNT", n})
	if err != nil {
		return nil, streamError(err)
	}
	out := readEntries(r, 0)
	return out, r.Err
}

// Keep answers a topic's retention, as the last publish set it.
func (s *Streams) Keep(ctx context.Context, topic *keys.Topic) (Retention, error) {
	keep, err := s.rdb.HMGet(ctx, topic.About(), "keep").Result()
	if err != nil {
		return Retention{}, s.typedKey(err, topic.About())
	}
	text, _ := keep[0].(string)
	return parseRetention(text), nil
}

// Last is the position of a topic's last message, "0-0" where it has none.
func (s *Streams) Last(ctx context.Context, topic *keys.Topic) (string, error) {
	position, err := s.edge(ctx, "XREVRANGE", topic, "+", "-")
	if position == "" {
		position = "0-0"
	}
	return position, err
}

// GivenUp is a message that a group gave up.
type GivenUp struct {
	Position string // among the given up
	Origin   string // in the stream
	Data     []byte
	Error    string
	Attempts int
}

// GivenUp reads up to n of a group's given up messages behind a position.
func (s *Streams) GivenUp(ctx context.Context, topic *keys.Topic, group, after string, n int) ([]GivenUp, error) {
	r, err := s.do(ctx, []any{"XRANGE", topic.GivenUp(group), "(" + after, "+", "COUNT", n})
	if err != nil {
		return nil, streamError(err)
	}
	out := make([]GivenUp, r.Array())
	for i := range out {
		r.Array()
		d := &out[i]
		d.Position = r.Text()
		for range r.Array() / 2 {
			switch r.Text() {
			case "m":
				d.Data = r.Bytes()
			case "p":
				d.Origin = r.Text()
			case "e":
				d.Error = r.Text()
			case "a":
				d.Attempts = int(r.Number())
			default:
				r.Skip()
			}
		}
	}
	return out, r.Err
}
