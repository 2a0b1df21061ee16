package keys

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxTopicLen is the longest name of a durable topic, in bytes: as long as that of a live one.
const MaxTopicLen = 255

// Topics is the SET of names of durable topics.
func (s Space) Topics() string { return s.name + ":topics" }

// Topic holds the key names of one durable topic. The hash tag is the topic's name, so that all of it is in one slot, which is
// that of the topic's channel too. It is immutable and safe for concurrent use.
type Topic struct {
	name, prefix  string
	stream, about string
}

// Topic checks the name and builds the topic's keys.
func (s Space) Topic(name string) (*Topic, error) {
	bad := strings.IndexFunc(name, func(r rune) bool {
		return r == '{' || r == '}' || r == utf8.RuneError || !unicode.IsPrint(r) || unicode.IsSpace(r)
	})
	if name == "" || len(name) > MaxTopicLen || bad >= 0 {
		return nil, fmt.Errorf("topic: %.140q is no name of a durable topic; allowed are 1 to %d bytes of printable UTF-8 text without "+
			"spaces, { and }", name, MaxTopicLen)
	}
	t := &Topic{name: name, prefix: s.name + ":topic:{" + name + "}:"}
	t.stream, t.about = t.prefix+"stream", t.prefix+"about"
	return t, nil
}

// CheckGroup checks the name of a group of consumers.
func CheckGroup(name string) error { return checkName("group", name) }

// Name is the topic's name, and its channel's.
func (t *Topic) Name() string { return t.name }

// Stream is the STREAM of the topic's messages.
func (t *Topic) Stream() string { return t.stream }

// About is the HASH of what else there is to know of a topic: retention, and when each group was last seen.
func (t *Topic) About() string { return t.about }

// Hints is the pub/sub channel that tells members that there may be something to do. Keys hold the truth.
func (t *Topic) Hints() string { return t.prefix + "hints" }

// Members is the ZSET of a group's members by expiry.
func (t *Topic) Members(group string) string { return t.prefix + "members:" + group }

// Crashed is the HASH of how many members each pending message of a group saw die.
func (t *Topic) Crashed(group string) string { return t.prefix + "crashed:" + group }

// GivenUp is the STREAM of the messages that a group gave up.
func (t *Topic) GivenUp(group string) string { return t.prefix + "given-up:" + group }
