package wire

import (
	"strings"
	"testing"
)

func TestWaitingSince(t *testing.T) {
	created := Envelope{Kind: "k", CreatedAt: 1000}
	delayed := Envelope{Kind: "k", CreatedAt: 1000, DueAt: 5000}
	for name, tt := range map[string]struct {
		e    Envelope
		s    *State
		want int64
	}{
		"new":                {created, nil, 1000},
		"delayed":            {delayed, nil, 5000},
		"retried":            {delayed, &State{Attempts: 1, FinishedAt: 6000, DueAt: 7000}, 7000},
		"crashed its worker": {delayed, &State{Crashes: 1}, 5000},
		"was dead":           {delayed, &State{FinishedAt: 6000}, 0},
		"says nothing":       {Envelope{Kind: "k"}, nil, 0},
	} {
		tt.e.Args = []byte(strings.Repeat("x", 3*PeekBytes))
		tt.e.Retention, tt.e.Key = 77, strings.Repeat("k", 256)
		envelope, record := tt.e.Append(nil), []byte(nil)
		if tt.s != nil {
			tt.s.AddFailure(Failure{Attempt: 1, Error: strings.Repeat("e", 3*PeekBytes)})
			record, _ = tt.s.Append(nil)
		}
		if got := WaitingSince(envelope, record); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
		if got := WaitingSince(envelope[:PeekBytes], record[:min(len(record), PeekBytes)]); got != tt.want {
			t.Errorf("%s: by the beginnings: %d, want %d", name, got, tt.want)
		}
	}
	for _, junk := range []string{"", "\x01", "\x01\x00\x00\xff\xff", "\x00\x00\x00\x00\x05abc", "\x02\x00\x00\x00\x05\x20\x10"} {
		if got := WaitingSince([]byte(junk), []byte(junk)); got != 0 {
			t.Errorf("%q: %d", junk, got)
		}
	}
}
