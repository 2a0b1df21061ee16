package keys

import (
	"strings"
	"testing"
)

// Whose a key is and what it must hold, also where names of namespaces begin or go on alike.
func TestParse(t *testing.T) {
	long := strings.Repeat("x", MaxNameLen)
	for key, want := range map[string]Name{
		"tm:queues":                          {Space: "tm", Part: "queues", Kind: "set"},
		"tm:topics":                          {Space: "tm", Part: "topics", Kind: "set"},
		"tm:workers":                         {Space: "tm", Part: "workers", Kind: "hash"},
		"tm:orders":                          {Space: "tm", Part: "orders", Kind: "hash"},
		"tm:settings":                        {Space: "tm", Part: "settings", Kind: "hash"},
		"tm:aside:{tm:queues}:7":             {Space: "tm", Part: "tm:queues", Aside: true},
		"tm:{a}:jobs":                        {Space: "tm", Queue: "a", Part: "jobs", Kind: "hash"},
		"tm:{a:b}:running:x}:y":              {Space: "tm", Queue: "a:b", Part: "running:x}:y", Kind: "zset"},
		"tm:{a}:aside:jobs:7":                {Space: "tm", Queue: "a", Part: "aside:jobs:7", Aside: true},
		"tm:{a}:mine":                        {Space: "tm", Queue: "a", Part: "mine"},
		"tm:{a}:stream":                      {Space: "tm", Queue: "a", Part: "stream"},
		"tm:{a b}:jobs":                      {Space: "tm", Part: "jobs"},
		"tm:topic:{a/ä}:stream":              {Space: "tm", Part: "stream", Kind: "stream"},
		"tm:topic:{a}:about":                 {Space: "tm", Part: "about", Kind: "hash"},
		"tm:topic:{a}:members:g":             {Space: "tm", Part: "members:g", Kind: "zset"},
		"tm:topic:{a}:crashed:g":             {Space: "tm", Part: "crashed:g", Kind: "hash"},
		"tm:topic:{a}:given-up:g":            {Space: "tm", Part: "given-up:g", Kind: "stream"},
		"tm:topic:{a}:aside:about:7":         {Space: "tm", Part: "aside:about:7", Kind: "hash", Aside: true},
		"tm2:{a}:jobs":                       {Space: "tm2", Queue: "a", Part: "jobs", Kind: "hash"},
		"tm:x:queues":                        {Space: "tm:x", Part: "queues", Kind: "set"},
		"tm:x:{a}:jobs":                      {Space: "tm:x", Queue: "a", Part: "jobs", Kind: "hash"},
		"tm:x:topic:{a}:stream":              {Space: "tm:x", Part: "stream", Kind: "stream"},
		"tm:topic:{a}:jobs":                  {Space: "tm:topic", Queue: "a", Part: "jobs", Kind: "hash"},
		"tm:topic:{a}:aside:jobs:7":          {Space: "tm:topic", Queue: "a", Part: "aside:jobs:7", Aside: true},
		"tm:topic:topic:{a}:about":           {Space: "tm:topic", Part: "about", Kind: "hash"},
		"tm:aside:{tm:queues}:jobs":          {Space: "tm:aside", Queue: "tm:queues", Part: "jobs", Kind: "hash"},
		"tm:aside:queues":                    {Space: "tm:aside", Part: "queues", Kind: "set"},
		"tm:aside:aside:{tm:aside:orders}:7": {Space: "tm:aside", Part: "tm:aside:orders", Aside: true},
		"topic:{a}:jobs":                     {Space: "topic", Queue: "a", Part: "jobs", Kind: "hash"},
		"tm:mine":                            {Space: "tm", Part: "mine"}, "tm:x:mine": {Space: "tm:x", Part: "mine"}, "queues": {Part: "queues", Kind: "set"},
		"tm:{a}:": {}, "tm:{a}": {}, "tm:user{1}:x": {Space: "tm:user{1}", Part: "x"}, ":{a}:jobs": {},
		long + ":topic:{a}:stream": {Space: long, Part: "stream", Kind: "stream"}, long + "x:{a}:jobs": {},
		long + ":aside:{" + long + ":queues}:7": {Space: long, Part: long + ":queues", Aside: true},
	} {
		if got := Parse(key); got != want {
			t.Errorf("%s: %+v, want %+v", key, got, want)
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

// What is put aside stays in its slot and in its namespace.
func TestAside(t *testing.T) {
	space, err := NewSpace("tm")
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"tm:{q}:jobs": "tm:{q}:aside:jobs:7", "tm:queues": "tm:aside:{tm:queues}:7",
		"tm:topic:{t}:members:g": "tm:topic:{t}:aside:members:g:7"} {
		got := space.Aside(key, "7")
		if got != want || slot(got) != slot(key) {
			t.Errorf("%s is put aside as %s, want %s", key, got, want)
		}
		if name := Parse(got); !name.Aside || name.Space != "tm" {
			t.Errorf("%s: %+v", got, name)
		}
	}
}
