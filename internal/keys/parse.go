package keys

import (
	"strconv"
	"strings"
)

// Name is the name of a key taken apart.
type Name struct {
	Space string // the namespace that it is in, "" = none can be told
	Queue string // the queue that it is of, "" = of none
	Part  string // what it is of the queue, the durable topic or the namespace: running:s
	Kind  string // the type, as TYPE calls it, that it must have; "" = it is none of ours
	Aside bool   // the doctor put it aside
}

// Parse takes the name of a key apart. Names of namespaces may hold colons and begin alike, so whose a key is shows in all of
// it: tm:topic:{x}:stream is of topic x in namespace tm, tm:topic:{x}:jobs of queue x in namespace tm:topic.
func Parse(key string) Name {
	head, tagged, ok := strings.Cut(key, ":{")
	if !ok {
		space, part, _ := cutLast(key)
		return Name{Space: space, Part: part, Kind: spaceKinds[part]}
	}
	tag, part, ok := strings.Cut(tagged, "}:")
	if !ok || part == "" {
		return Name{}
	}
	if space, ok := strings.CutSuffix(head, ":topic"); ok && checkName("namespace", space) == nil {
		inner, _, aside := cutAside(part)
		if kind := topicKind(inner); kind != "" {
			return Name{Space: space, Part: part, Kind: kind, Aside: aside}
		}
	}
	if space, ok := strings.CutSuffix(head, ":aside"); ok && checkName("namespace", space) == nil && strings.HasPrefix(tag, space+":") && isMark(part) {
		return Name{Space: space, Part: tag, Aside: true}
	}
	if checkName("namespace", head) != nil {
		return Name{}
	}
	if checkName("queue", tag) != nil {
		return Name{Space: head, Part: part}
	}
	return Name{Space: head, Queue: tag, Part: part, Kind: KindOf(part), Aside: strings.HasPrefix(part, AsidePart)}
}

// cutAside takes from a part what it was before it was put aside: aside:stream:7 was stream.
func cutAside(part string) (inner, mark string, ok bool) {
	rest, ok := strings.CutPrefix(part, AsidePart)
	if !ok {
		return part, "", false
	}
	return cutLast(rest)
}

func cutLast(s string) (before, after string, ok bool) {
	at := strings.LastIndexByte(s, ':')
	if at < 0 {
		return "", s, false
	}
	return s[:at], s[at+1:], true
}

func isMark(s string) bool {
	_, err := strconv.ParseUint(s, 10, 64)
	return err == nil
}

// spaceKinds are the types of the keys of a namespace.
var spaceKinds = map[string]string{"queues": "set", "topics": "set", "workers": "hash", "orders": "hash", "settings": "hash"}

// Parts whose names go on with a session or an instance.
const (
	RunningPart = "running:"
	LanesPart   = "lanes:"
	PokePart    = "poke:"
	// AsidePart is where the doctor puts a key that held another type than ours.
	AsidePart = "aside:"
)

// KindOf is the type, as TYPE calls it, of a queue's part; "" for one that is none of ours.
func KindOf(part string) string {
	switch {
	case strings.HasPrefix(part, RunningPart):
		return "zset"
	case strings.HasPrefix(part, LanesPart):
		return "hash"
	case strings.HasPrefix(part, PokePart), strings.HasPrefix(part, "ready:") && len(part) == len("ready:0") && part[6] >= '0' && part[6] <= '9':
		return "list"
	}
	switch part {
	case "jobs", "state", "producers", "results", "cancels", "meta":
		return "hash"
	case "scheduled", "sessions", "dead", "finished":
		return "zset"
	case "suspect", "wake", "due":
		return "list"
	}
	return ""
}

// topicKind is the type of a durable topic's part; "" for one that is none of ours.
func topicKind(part string) string {
	switch {
	case part == "stream", strings.HasPrefix(part, "given-up:"):
		return "stream"
	case part == "about", strings.HasPrefix(part, "crashed:"):
		return "hash"
	case strings.HasPrefix(part, "members:"):
		return "zset"
	}
	return ""
}

// Aside is the name under which a key of the wrong type is put aside, in the same Cluster slot; mark, a number, tells it from
// others.
func (s Space) Aside(key, mark string) string {
	if head, part, ok := strings.Cut(key, "}:"); ok {
		return head + "}:" + AsidePart + part + ":" + mark
	}
	return s.name + ":" + AsidePart + "{" + key + "}:" + mark
}
