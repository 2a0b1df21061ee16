package bus

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/script"
)

// Group is a group of consumers of a topic, and Session who of it asks.
type Group struct {
	Topic   *keys.Topic
	Name    string
	Session string
}

// Entry is one entry of a stream.
type Entry struct {
	Position   string
	Data       []byte // an envelope, or what another program put into field data
	Group      string // the one group that it is for, "" = all
	Deliveries int    // this one included
	Crashes    int    // members that died while they had it
	Unreadable string // why there is no Data in it; Data is all of its fields then, for people
}

func (e *Entry) read(r *script.Reply) {
	n := r.Array()
	fields := r.B
	found := false
	for range n / 2 {
		switch name, value := r.Bytes(), r.Bytes(); string(name) {
		case "m":
			e.Data, found = value, true
		case "g":
			e.Group = string(value)
		case "data":
			if !found {
				e.Data, found = value, true
			}
		}
	}
	if found || r.Err != nil {
		return
	}
	all := make(map[string]string)
	again := &script.Reply{Loose: true, B: fields}
	for range n / 2 {
		name := again.Text()
		all[name] = again.Text()
	}
	e.Unreadable = "the stream's entry has neither field m (a Tidemill message) nor field data"
	e.Data, _ = json.Marshal(all)
}

func readEntries(r *script.Reply, deliveries int) []Entry {
	out := make([]Entry, 0, r.Array())
	for range cap(out) {
		e := Entry{Deliveries: deliveries}
		if r.Array() != 2 {
			continue // a null: the message was trimmed away
		}
		e.Position = r.Text()
		e.read(r)
		out = append(out, e)
	}
	return out
}

// Mode is what a heartbeat does with a session.
type Mode string

// Modes of a heartbeat.
const (
	Register Mode = "new"
	Keep     Mode = "keep"
	Bye      Mode = "bye" // others take what it has
)

// Pulse is the answer to a heartbeat.
type Pulse struct {
	NowUS       int64
	Lost        bool // the session is over
	NoGroup     bool // there is no such group any more
	Undelivered bool
	NextExpiry  int64    // ms of server time when another session may have to be recovered; 0 = there is none
	Gone        []string // sessions to recover
	Missed      string   // position behind which retention dropped messages that the group had not had; "" = none were
	MissedUS    int64    // server time of that gap, by which it is told from others
}

// Beat registers, extends or ends a session of a group. From is where a group begins that Register has to make. Told is the
// MissedUS of the gap that consumers were told of last, 0 = none: it is answered again until then.
func (s *Streams) Beat(ctx context.Context, g Group, mode Mode, ttl time.Duration, from string, told int64) (Pulse, error) {
	args := scriptCall(beatScript, 7, g.Topic.Stream(), g.Topic.About(), g.Topic.Members(g.Name))
	args = append(args, g.Name, g.Session, string(mode), ttl.Milliseconds(), g.Topic.Hints(), from, told)
	r, err := s.run(ctx, beatScript, args)
	if err != nil {
		return Pulse{}, err
	}
	r.Array()
	p := Pulse{NowUS: r.Number()}
	switch r.Text() {
	case "LOST":
		p.Lost = true
	case "NOGROUP":
		p.NoGroup = true
	}
	p.Undelivered, p.NextExpiry = r.Number() == 1, r.Number()
	for range r.Array() {
		p.Gone = append(p.Gone, r.Text())
	}
	p.Missed, p.MissedUS = r.Text(), r.Number()
	return p, r.Err
}

// Read takes up to n messages that the group was not given yet, at once: none is no error. Where it fails they may have been
// given to the session all the same: Pending tells.
func (s *Streams) Read(ctx context.Context, g Group, n int) ([]Entry, error) {
	r, err := s.do(ctx, []any{"XREADGROUP", "GROUP", g.Name, g.Session, "COUNT", n, "STREAMS", g.Topic.Stream(), ">"})
	if err != nil {
		return nil, streamError(err)
	}
	if len(r.B) > 0 && r.B[0] == '%' { // RESP3: stream -> entries
		if r.Array() == 0 {
			return nil, r.Err
		}
	} else {
		if r.Array() == 0 {
			return nil, r.Err
		}
		r.Array() // of the one stream: its name and its entries
	}
	r.Bytes()
	out := readEntries(r, 1)
	return out, r.Err
}

// Owned is a message that Redis counts as the session's.
type Owned struct {
	Position   string
	Deliveries int
}

// Pending lists up to n of the session's messages from a position on ("-" = all).
func (s *Streams) Pending(ctx context.Context, g Group, from string, n int) ([]Owned, error) {
	r, err := s.do(ctx, []any{"XPENDING", g.Topic.Stream(), g.Name, from, "+", n, g.Session})
	if err != nil {
		return nil, streamError(err)
	}
	out := make([]Owned, 0, r.Array())
	for range cap(out) {
		r.Array()
		o := Owned{Position: r.Text()}
		r.Skip()
		r.Skip()
		o.Deliveries = int(r.Number())
		out = append(out, o)
	}
	return out, r.Err
}

// Fetch reads messages by their positions; those that are no more are left out.
func (s *Streams) Fetch(ctx context.Context, topic *keys.Topic, positions []string) ([]Entry, error) {
	var out []Entry
	pipe := s.rdb.Pipeline()
	commands := make([]script.Command, len(positions))
	for i, position := range positions {
		commands[i] = s.command(ctx, []any{"XRANGE", topic.Stream(), position, position})
		_ = pipe.Process(ctx, commands[i].Cmder)
	}
	_, execErr := pipe.Exec(ctx)
	for _, c := range commands {
		r, err := loosely(c.Piped(execErr))
		if err != nil {
			return nil, streamError(err)
		}
		if out = append(out, readEntries(r, 0)...); r.Err != nil {
			return nil, r.Err
		}
	}
	return out, nil
}

// CrashLimit is after how many members that died while they had a message it is given up.
const CrashLimit = 3

// Recovered is what one recover call did.
type Recovered struct {
	More    bool // that session has more, for whoever has room
	Lost    bool // the caller's own session is over
	Dead    int  // messages that were given up
	Entries []Entry
}

// Recover takes up to n messages that a gone session left. Suspect says that the caller may take one that saw two members die.
func (s *Streams) Recover(ctx context.Context, g Group, gone string, ttl time.Duration, n int, suspect bool) (Recovered, error) {
	t := g.Topic
	args := scriptCall(recoverScript, 8, t.Stream(), t.About(), t.Members(g.Name), t.Crashed(g.Name), t.GivenUp(g.Name))
	suspects := 0
	if suspect {
		suspects = 1
	}
	args = append(args, g.Name, g.Session, gone, ttl.Milliseconds(), n, suspects, CrashLimit, keepDead.Milliseconds())
	r, err := s.run(ctx, recoverScript, args)
	if err != nil {
		return Recovered{}, err
	}
	r.Array()
	r.Number()
	word := r.Text()
	out := Recovered{More: word == "MORE", Lost: word == "LOST", Dead: int(r.Number())}
	for range r.Array() {
		r.Array()
		e := Entry{Position: r.Text(), Deliveries: int(r.Number()), Crashes: int(r.Number())}
		e.read(r)
		out.Entries = append(out.Entries, e)
	}
	return out, r.Err
}

// Settle says that messages are done, and which are to be delivered to the session again; it answers the positions of the
// latter that were not the session's.
func (s *Streams) Settle(ctx context.Context, g Group, done []string, again []Owned) (lost []string, err error) {
	args := scriptCall(settleScript, 3+len(done)+2*len(again), g.Topic.Stream(), g.Topic.Crashed(g.Name))
	args = append(args, g.Name, g.Session, len(done))
	for _, position := range done {
		args = append(args, position)
	}
	for _, o := range again {
		args = append(args, o.Position, strconv.Itoa(o.Deliveries))
	}
	r, err := s.run(ctx, settleScript, args)
	if err != nil {
		return nil, err
	}
	r.Array()
	r.Number()
	r.Number()
	for range r.Array() {
		lost = append(lost, r.Text())
	}
	return lost, r.Err
}

// shelf ends the name of where a session's shelved messages wait.
const shelf = ":shelf"

// IsShelf tells a shelf from a session that is gone.
func IsShelf(session string) bool { return strings.HasSuffix(session, shelf) }

// Shelve gives messages to whoever of the group has room, with as many deliveries as they have; those that are not the
// session's are left alone.
func (s *Streams) Shelve(ctx context.Context, g Group, messages []Owned) error {
	t := g.Topic
	args := scriptCall(shelveScript, 4+2*len(messages), t.Stream(), t.About(), t.Members(g.Name))
	args = append(args, g.Name, g.Session, g.Session+shelf, t.Hints())
	for _, o := range messages {
		args = append(args, o.Position, strconv.Itoa(o.Deliveries))
	}
	_, err := s.run(ctx, shelveScript, args)
	return err
}

// GiveUp puts a message of the session among those that its group gave up; false where it was not the session's.
func (s *Streams) GiveUp(ctx context.Context, g Group, e Entry, reason string) (bool, error) {
	t := g.Topic
	args := scriptCall(deadScript, 7, t.Stream(), t.Crashed(g.Name), t.GivenUp(g.Name))
	args = append(args, g.Name, g.Session, e.Position, e.Deliveries, reason, keepDead.Milliseconds(), e.Data)
	r, err := s.run(ctx, deadScript, args)
	if err != nil {
		return false, err
	}
	r.Array()
	r.Number()
	return r.Text() == "OK", r.Err
}
