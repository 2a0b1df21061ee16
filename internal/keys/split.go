package keys

import "strings"

// Split takes the name of a queue's key apart: tm:{emails}:running:s is queue "emails" and part "running:s". It is false for
// a key that belongs to no queue of the namespace.
func (s Space) Split(key string) (queue, part string, ok bool) {
	rest, ok := strings.CutPrefix(key, s.name+":{")
	if !ok {
		return "", "", false
	}
	queue, part, ok = strings.Cut(rest, "}:")
	return queue, part, ok && part != "" && checkName("queue", queue) == nil
}

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

// Aside is the name under which a key of the wrong type is put aside, in the same Cluster slot; mark tells it from others.
func (s Space) Aside(key, mark string) string {
	if queue, part, ok := s.Split(key); ok {
		return s.name + ":{" + queue + "}:" + AsidePart + part + ":" + mark
	}
	return s.name + ":" + AsidePart + "{" + key + "}:" + mark
}
