package broker

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/script"
)

func TestTypedErrors(t *testing.T) {
	for _, c := range []struct {
		text string
		want error
	}{
		{"LOST session", ErrLost}, {"-LOST session", ErrLost}, {"STALE lane is at 4", ErrStale}, {"EXPIRED call", ErrExpired},
		{"OOM command not allowed when used memory > 'maxmemory'.", ErrFull},
		{"ERR Error running script (call to f_1): @user_script:9: @user_script: 9: -OOM command not allowed when used", ErrFull},
	} {
		if err := typed(c.text); !errors.Is(err, c.want) {
			t.Errorf("%q: %v", c.text, err)
		}
	}
	var wrong *KeyTypeError
	if err := typed("WRONGKEY tm:{q}:jobs"); !errors.As(err, &wrong) || wrong.Key != "tm:{q}:jobs" || !strings.Contains(err.Error(), "tm:{q}:jobs") {
		t.Errorf("got %v", err)
	}
	var server interface{ RedisError() }
	if err := typed("BADCALL 1 ids"); !errors.As(err, &server) || err.Error() != "BADCALL 1 ids" {
		t.Errorf("got %v", err)
	}
}

func TestEnqueuedReply(t *testing.T) {
	for raw, want := range map[string]string{
		"*2\r\n$1\r\n5\r\n$0\r\n\r\n":     "ccc",
		"*2\r\n$1\r\n5\r\n$3\r\ncdx\r\n":  "cdx",
		"*2\r\n$1\r\n5\r\n$2\r\ncd\r\n":   "",
		"*2\r\n$1\r\n5\r\n$4\r\ncdxe\r\n": "",
		"*2\r\n$1\r\n5\r\n":               "",
	} {
		_, out, err := enqueued(&reply{B: []byte(raw)}, make([]Item, 3))
		if string(out) != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", raw, out, err)
		}
	}
	// Who else can have stored a job under an id that was made for it?
	if _, out, err := enqueued(&reply{B: []byte("*2\r\n$1\r\n5\r\n$4\r\ncdxe\r\n")}, []Item{{}, {Made: true}, {Made: true}, {Made: true}}); string(out) != "ccce" || err != nil {
		t.Errorf("of jobs with ids of their own: %q, %v", out, err)
	}
}

func exchangeReply(ids int) []byte {
	out := []any{"1795000000000000", "MORE", int64(1), int64(2), "1", int64(1), "1795000000000001", "", []any{}, []any{}}
	packed, envelopes, records := "", []any{}, []any{}
	for i := range ids {
		id := uuid.UUID{15: byte(i)} // the first one is nil: a hole in a replayed batch
		packed += string(id[:])
		envelopes, records = append(envelopes, fmt.Sprint("envelope", i)), append(records, "")
	}
	out[7], out[8], out[9] = packed, envelopes, records
	return script.AppendRESP(nil, out)
}

func TestExchangedReply(t *testing.T) {
	x := &Exchange{Done: make([]Claim, 2)}
	var out Exchanged
	if err := out.read(&reply{B: exchangeReply(3)}, x); err != nil {
		t.Fatal(err)
	}
	if out.NowUS != 1795000000000000 || !out.More || out.Paused || !out.Left || out.Suspects != 2 || !out.Suspect {
		t.Errorf("got %+v", out)
	}
	if !reflect.DeepEqual(out.Refused, []int{1}) {
		t.Errorf("refused %v", out.Refused)
	}
	if len(out.Jobs) != 2 || out.Jobs[1].Token != 1795000000000003 || string(out.Jobs[1].Envelope) != "envelope2" {
		t.Errorf("jobs %+v", out.Jobs)
	}
	raw := exchangeReply(3)
	for n := range raw {
		var cut Exchanged
		if err := cut.read(&reply{B: raw[:n:n]}, x); !errors.Is(err, ErrBadReply) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
	var odd Exchanged
	if err := odd.read(&reply{B: exchangeReply(3)}, &Exchange{}); !errors.Is(err, ErrBadReply) {
		t.Errorf("outcomes for acks that nobody sent: %v", err)
	}
}

func FuzzReply(f *testing.F) {
	f.Add(exchangeReply(0), 2)
	f.Add(exchangeReply(3), 2)
	f.Add(script.AppendRESP(nil, []any{"OK", "9", int64(1), int64(0), "5", "", []any{"s"}, []any{string(make([]byte, 16)), "7"}, int64(1),
		[]any{string(make([]byte, 16)), "7"}, int64(0)}), 1)
	f.Add(script.AppendRESP(nil, []any{"WRONGKEY x"}), 0)
	f.Add([]byte("*4611686018427387904\r\n$9223372036854775807\r\n"), 1)
	f.Add([]byte("*1\r\n*99999999\r\n"), 3)
	f.Fuzz(func(t *testing.T, raw []byte, n int) {
		n = min(max(n, 0), 1000)
		before := bytes.Clone(raw)
		var out Exchanged
		var pulse Pulse
		pulsed := &reply{B: raw}
		pulse.read(pulsed)
		claims := &reply{B: raw}
		readClaims(claims)
		_, outcomes, enqueueErr := enqueued(&reply{B: raw}, make([]Item, n))
		for _, err := range []error{out.read(&reply{B: raw}, &Exchange{Done: make([]Claim, n)}), pulsed.Err, claims.Err, enqueueErr} {
			if err != nil && !errors.Is(err, ErrBadReply) {
				t.Errorf("untyped error %v", err)
			}
		}
		if enqueueErr == nil && len(outcomes) != n {
			t.Errorf("%d outcomes for %d items", len(outcomes), n)
		}
		for _, at := range out.Refused {
			if at >= n {
				t.Errorf("place %d of %d is refused", at, n)
			}
		}
		if !bytes.Equal(raw, before) {
			t.Error("a reader changed the reply")
		}
	})
}
