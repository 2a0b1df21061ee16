package keys

import "testing"

func TestSplit(t *testing.T) {
	space, err := NewSpace("tm")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		key, queue, part string
		ok               bool
	}{
		{"tm:{a:b}:running:x}:y", "a:b", "running:x}:y", true}, {"tm:{a}:jobs", "a", "jobs", true}, {"tm:queues", "", "", false},
		{"tm2:{a}:jobs", "", "", false}, {"tm:{a}:", "", "", false}, {"tm:{a b}:jobs", "", "", false}, {"tm:{}:jobs", "", "", false},
	} {
		queue, part, ok := space.Split(tt.key)
		if ok != tt.ok || ok && (queue != tt.queue || part != tt.part) {
			t.Errorf("%s: %q, %q, %v", tt.key, queue, part, ok)
		}
	}
}

// Every part that a queue has is known, with the type that READS in prelude.lua expects.
func TestKindOf(t *testing.T) {
	want := []string{"hash", "hash", "list", "zset", "zset", "hash", "zset", "zset", "hash", "hash", "list", "list", "hash"}
	for i, part := range parts {
		kind := "list"
		if i < len(want) {
			kind = want[i]
		}
		if got := KindOf(part); got != kind {
			t.Errorf("%s is a %q, want %q", part, got, kind)
		}
	}
	for part, kind := range map[string]string{"running:s": "zset", "lanes:s": "hash", "poke:i": "list", "ready:10": "", "mine": "", "aside:jobs:1": ""} {
		if got := KindOf(part); got != kind {
			t.Errorf("%s is a %q, want %q", part, got, kind)
		}
	}
}

func TestAside(t *testing.T) {
	space, err := NewSpace("tm")
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"tm:{q}:jobs": "tm:{q}:aside:jobs:7", "tm:queues": "tm:aside:{tm:queues}:7"} {
		if got := space.Aside(key, "7"); got != want {
			t.Errorf("%s is put aside as %s, want %s", key, got, want)
		}
	}
}
