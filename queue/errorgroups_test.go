package queue

import (
	"slices"
	"strings"
	"testing"
)

// The text of a group finds the jobs of the group, in either case and in pieces; what is typed as it is still does.
func TestFilterByMaskedError(t *testing.T) {
	const text = `user 17 has no "mail", id 0197c1f0-5a3e-7cc3-98c4-dc0c0c07398f, room #5`
	for wanted, want := range map[string]bool{
		mask(text): true, "User # has": true, `no "…", id #`: true, "user 17": true, "room #5": true, "room #": true, "user # h…": true,
		"user # had": false, "user 18": false, "user 1#": false, `no "#"`: false, "…": false, "mail # lost": false,
	} {
		f := newFilter(&ListOptions{State: DeadState, Error: wanted})
		for place, s := range map[string]*Snapshot{"reason": {Reason: text}, "errors": {Errors: []Failure{{Error: "other"}, {Error: text}}}} {
			if got := f.wants(s); got != want {
				t.Errorf("%q in the %s: %v, want %v", wanted, place, got, want)
			}
		}
	}
}

func TestFilterByKinds(t *testing.T) {
	for _, tt := range []struct {
		wanted, kinds string
	}{
		{"", "a b a.b a,b "}, {"a", "a"}, {"a b", "a b"}, {"a* b", "a b a.b a,b"}, {"a.* a,b", "a.b a,b"}, {"*", "a b a.b a,b "}, {"c", "-"},
	} {
		f := newFilter(&ListOptions{Kind: tt.wanted})
		for _, kind := range []string{"a", "b", "a.b", "a,b", ""} {
			want := slices.Contains(strings.Split(tt.kinds, " "), kind)
			if got := f.wants(&Snapshot{Info: Info{Kind: kind}}); got != want {
				t.Errorf("%q: kind %q: %v, want %v", tt.wanted, kind, got, want)
			}
		}
	}
	for kind, ok := range map[string]bool{"": true, " ": false, "a b*": true, "a*b c": false, "a b*c": false} {
		if err := (&ListOptions{Kind: kind}).check(); (err == nil) != ok {
			t.Errorf("kind %q: %v", kind, err)
		}
	}
}

func TestMasked(t *testing.T) {
	for text, want := range map[string]string{
		"": "(no reason)",
		"dial tcp 10.0.0.17:5432: connect: connection refused":             "dial tcp #: connect: connection refused",
		"dial tcp 10.0.0.9:41: connect: connection refused":                "dial tcp #: connect: connection refused",
		`no row for "ann@example.org" in 'users'`:                          `no row for "…" in '…'`,
		`no row for "a \"quoted\" name"`:                                   `no row for "…"`,
		"can't open 'a b', won't try":                                      "can't open '…', won't try",
		"key `x y` is taken":                                               "key `…` is taken",
		"job 0197c1f0-5a3e-7cc3-98c4-dc0c0c07398f timed out after 1m30.5s": "job # timed out after #",
		"job 0197C1F0-5A3E-7CC3-98C4-DC0C0C07398F timed out after 250ms":   "job # timed out after #",
		"object deadbeef01 at 0x7ffc1234 not found":                        "object # at # not found",
		"status 503, attempt -3 of +25 (12%)":                              "status #, attempt # of # (#%)",
		"exit status 75 (retry): row 17":                                   "exit status 75 (retry): row #",
		"ended by signal 9 (killed) after 12s":                             "ended by signal 9 (killed) after #",
		"Exit code: 3, exit status 123456, signals 4":                      "Exit code: 3, exit status #, signals #",
		"bad utf8 in s3 bucket photos2024":                                 "bad utf# in s# bucket photos#",
		"user user_01ARZ3NDEKTSV4RRFFQ69G5FAV is gone":                     "user user_# is gone",
		"at 2026-11-21T10:20:30Z":                                          "at #T#Z",
		"keine Verbindung: Zeitüberschreitung nach 3 Versuchen":            "keine Verbindung: Zeitüberschreitung nach # Versuchen",
		"the cafe is closed, defaced and accede too":                       "the cafe is closed, defaced and accede too",
		strings.Repeat("é", 200):                                           strings.Repeat("é", 150) + "…",
	} {
		if got := masked(&Snapshot{Reason: text}); got != want {
			t.Errorf("%q\ngot  %q\nwant %q", text, got, want)
		}
	}
}
