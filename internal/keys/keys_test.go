package keys

import (
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	space, err := NewSpace("")
	if err != nil {
		t.Fatal(err)
	}
	q, err := space.Queue("mail.eu-1:x_Y")
	if err != nil {
		t.Fatal(err)
	}
	const prefix = "tm:{mail.eu-1:x_Y}:"
	for got, want := range map[string]string{
		space.Name():     "tm",
		space.Queues():   "tm:queues",
		space.Workers():  "tm:workers",
		space.Settings(): "tm:settings",
		space.Control():  "tm:control",
		space.Ended("T"): "tm:ended:T",
		q.Name():         "mail.eu-1:x_Y",
		q.Running("S"):   prefix + "running:S",
		q.Lanes("S"):     prefix + "lanes:S",
		q.Key(Jobs):      prefix + "jobs",
		q.Key(Meta):      prefix + "meta",
		q.Key(Ready):     prefix + "ready:0",
		q.Key(Ready + 9): prefix + "ready:9",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// The scripts read the keys by place: the order here is that of prelude.lua.
func TestFixedOrder(t *testing.T) {
	space, _ := NewSpace("ns")
	q, err := space.Queue("q")
	if err != nil {
		t.Fatal(err)
	}
	want := "jobs state suspect scheduled sessions producers dead finished results cancels wake due meta " +
		"ready:0 ready:1 ready:2 ready:3 ready:4 ready:5 ready:6 ready:7 ready:8 ready:9"
	if got := strings.ReplaceAll(strings.Join(q.Fixed(), " "), "ns:{q}:", ""); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for place, key := range q.Fixed() {
		if q.Key(place) != key {
			t.Errorf("place %d: %q and %q", place, q.Key(place), key)
		}
	}
}

func TestRefusedNames(t *testing.T) {
	space, _ := NewSpace("ok")
	for _, name := range []string{"", " ", "a b", "a{b", "a}b", "ä", "a\x00", "a/b", "a\n", "\xff", strings.Repeat("x", MaxNameLen+1)} {
		if q, err := space.Queue(name); err == nil || q != nil {
			t.Errorf("queue %q was accepted", name)
		}
		if _, err := NewSpace(name); (err == nil) != (name == "") {
			t.Errorf("namespace %q: %v", name, err)
		}
	}
	if _, err := space.Queue(strings.Repeat("x", MaxNameLen)); err != nil {
		t.Error(err)
	}
}

// slot is the part of a key that Redis Cluster hashes.
func slot(key string) string {
	if _, rest, ok := strings.Cut(key, "{"); ok {
		if tag, _, ok := strings.Cut(rest, "}"); ok && tag != "" {
			return tag
		}
	}
	return key
}

func FuzzKeys(f *testing.F) {
	f.Add("tm", "mail", "a", "b")
	f.Add("", "a:b", "x:{y}", "running:z")
	f.Add("a{", "b}", "", "")
	f.Add("tm", "{}", "s", "s")
	f.Fuzz(func(t *testing.T, namespace, name, session, other string) {
		space, err := NewSpace(namespace)
		if err != nil {
			return
		}
		q, err := space.Queue(name)
		if err != nil {
			return
		}
		seen := map[string]bool{space.Queues(): true, space.Workers(): true, space.Settings(): true}
		all := append([]string{q.Running(session), q.Lanes(session)}, q.Fixed()...)
		if other != session {
			all = append(all, q.Running(other), q.Lanes(other))
		}
		for _, key := range all {
			if slot(key) != name {
				t.Errorf("%q is in slot %q, the queue is %q", key, slot(key), name)
			}
			if !strings.HasPrefix(key, space.Name()+":") {
				t.Errorf("%q is outside the namespace %q", key, space.Name())
			}
			if seen[key] {
				t.Errorf("%q has two meanings", key)
			}
			seen[key] = true
		}
	})
}
