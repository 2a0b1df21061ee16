package keys

import (
	"strings"
	"testing"
)

func TestTopicNames(t *testing.T) {
	space, err := NewSpace("ns")
	if err != nil {
		t.Fatal(err)
	}
	topic, err := space.Topic("jobs.mail:eu/ä")
	if err != nil {
		t.Fatal(err)
	}
	const prefix = "ns:topic:{jobs.mail:eu/ä}:"
	for got, want := range map[string]string{
		space.Topics(): "ns:topics", topic.Name(): "jobs.mail:eu/ä", topic.Stream(): prefix + "stream", topic.About(): prefix + "about",
		topic.Hints(): prefix + "hints", topic.Members("g"): prefix + "members:g", topic.Crashed("g"): prefix + "crashed:g",
		topic.GivenUp("g"): prefix + "given-up:g",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if got != topic.Name() && got != space.Topics() && slot(got) != topic.Name() {
			t.Errorf("%q is in the slot of %q", got, slot(got))
		}
		if name := Parse(got); name.Queue != "" {
			t.Errorf("%q is taken for a queue's", got)
		}
	}
}

func TestRefusedTopics(t *testing.T) {
	space, _ := NewSpace("ok")
	for _, name := range []string{"", " ", "a b", "a{b", "a}b", "a\x00", "a\n", "\xff", "\u00a0", strings.Repeat("x", MaxTopicLen+1)} {
		if topic, err := space.Topic(name); err == nil || topic != nil {
			t.Errorf("topic %q was accepted", name)
		}
	}
	if _, err := space.Topic(strings.Repeat("x", MaxTopicLen)); err != nil {
		t.Error(err)
	}
	for name, ok := range map[string]bool{"billing": true, "a:b": true, "": false, "a b": false, "a{": false} {
		if err := CheckGroup(name); (err == nil) != ok {
			t.Errorf("group %q: %v", name, err)
		}
	}
}
