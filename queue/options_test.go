package queue

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/wire"
)

type note struct {
	Text string `json:"text"`
}

func (note) Kind() string { return "note" }

// offline is a client that can build jobs and has nobody to send them to.
func offline(t testing.TB, config Config) *Client {
	t.Helper()
	if err := config.validate(); err != nil {
		t.Fatal(err)
	}
	space, err := keys.NewSpace(config.Namespace)
	if err != nil {
		t.Fatal(err)
	}
	return &Client{space: space, config: config, life: context.Background()}
}

// built builds a job and decodes what would be sent.
func built(t testing.TB, c *Client, args Args, options ...Option) (*lanes, broker.Item, wire.Envelope) {
	t.Helper()
	b, err := c.build(nil, args, nil, options)
	if err != nil {
		t.Fatal(err)
	}
	var e wire.Envelope
	if err := e.Decode(b.item.Envelope); err != nil {
		t.Fatal(err)
	}
	return b.lanes, b.item, e
}

func TestOptionFaults(t *testing.T) {
	c := offline(t, Config{})
	first := time.UnixMilli(0)
	for _, x := range []struct {
		option Option
		text   string
	}{
		{In(-time.Nanosecond), "invalid in: -1ns; allowed: 0 or more"},
		{In(-time.Hour), "invalid in: -1h0m0s; allowed: 0 or more"},
		{At(time.Time{}), "invalid at: 0001-01-01 00:00:00 +0000 UTC; allowed: a time from 1970 to 9999"},
		{At(first.Add(-time.Millisecond).UTC()), "invalid at: 1969-12-31 23:59:59.999 +0000 UTC; allowed: a time from 1970 to 9999"},
		{At(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)), "invalid at: 10000-01-01 00:00:00 +0000 UTC; allowed: a time from 1970 to 9999"},
		{Priority(-1), "invalid priority: -1; allowed: 0 to 9, 9 first"},
		{Priority(10), "invalid priority: 10; allowed: 0 to 9, 9 first"},
		{MaxAttempts(0), "invalid max attempts: 0; allowed: 1 to 10000"},
		{MaxAttempts(10001), "invalid max attempts: 10001; allowed: 1 to 10000"},
		{Timeout(0), "invalid timeout: 0s; allowed: more than 0"},
		{Timeout(-time.Second), "invalid timeout: -1s; allowed: more than 0"},
		{Deadline(first.UTC()), "invalid deadline: 1970-01-01 00:00:00 +0000 UTC; allowed: a time from 1970 to 9999"},
		{Deadline(time.Date(292277026597, 1, 1, 0, 0, 0, 0, time.UTC)), "invalid deadline: "},
		{ExpireAt(time.Time{}), "invalid expiry: 0001-01-01 00:00:00 +0000 UTC; allowed: a time from 1970 to 9999"},
		{ExpireIn(0), "invalid expiry: 0s; allowed: more than 0"},
		{Retain(-time.Minute), "invalid retention: -1m0s; allowed: 0 or more"},
		{ID(""), "invalid id: 0 bytes; allowed: 1 to 256 bytes"},
		{ID(strings.Repeat("x", 257)), "invalid id: 257 bytes; allowed: 1 to 256 bytes"},
		{ID("a\xff"), `invalid id: "a\xff"; allowed: UTF-8 text`},
		{ID("00000000-0000-0000-0000-000000000000"), "invalid id: the nil UUID names no job"},
		{Meta("", "x"), "invalid metadata: an empty key; allowed: a name"},
		{Meta("k", "\xfe"), `invalid metadata: "k=\xfe"; allowed: UTF-8 text`},
		{Meta("k", strings.Repeat("x", 8<<10)), "invalid metadata: 8193 bytes; allowed: 8192 bytes"},
		{Durable(Durability{Replicas: -1}), "invalid durability replicas: -1; allowed: 0 to 1000"},
		{Durable(Durability{Replicas: 1001}), "invalid durability replicas: 1001; allowed: 0 to 1000"},
		{Durable(Durability{Replicas: 1, Timeout: -1}), "invalid durability timeout: -1ns; allowed: up to 1m0s; 0 = 1s"},
		{Durable(Durability{Fsync: true, Timeout: time.Hour}), "invalid durability timeout: 1h0m0s; allowed: up to 1m0s; 0 = 1s"},
		{Durable(Durability{Timeout: time.Second}), "invalid durability timeout: 1s; allowed: only with replicas or fsync to wait for"},
		{Queue(""), "invalid queue: the name is empty; allowed are 1 to 128 of A-Z a-z 0-9 _ - . :"},
		{Queue("a b"), `invalid queue: "a b" is not a name; allowed are 1 to 128 of A-Z a-z 0-9 _ - . :`},
		{Queue("{a}"), `invalid queue: "{a}" is not a name; allowed are 1 to 128 of A-Z a-z 0-9 _ - . :`},
	} {
		_, err := c.build(nil, note{}, nil, []Option{x.option})
		if !errors.Is(err, ErrInvalid) || !strings.HasPrefix(err.Error(), x.text) || err.Error() != x.text && !strings.HasSuffix(x.text, ": ") {
			t.Errorf("got  %v\nwant %s", err, x.text)
		}
		// Shared options of a batch are checked for each item just so.
		if _, again := c.build(nil, note{}, []Option{x.option}, nil); again == nil || again.Error() != err.Error() {
			t.Errorf("as a shared option: %v", again)
		}
	}
}

func TestOptionsReachTheEnvelope(t *testing.T) {
	c := offline(t, Config{})
	at := time.Date(2030, 1, 2, 3, 4, 5, 678e6, time.UTC)
	l, item, e := built(t, c, note{"hi"}, Queue("mail"), Priority(9), MaxAttempts(3), Timeout(1500*time.Microsecond), Deadline(at),
		ExpireAt(at.Add(-time.Hour)), Retain(time.Hour), ID("order 17"), Meta("a", "1"), Meta("b", ""), At(at))
	if l.keys.Name() != "mail" || item.Due != (broker.Due{At: at.UnixMilli()}) {
		t.Errorf("queue %q, due %+v", l.keys.Name(), item.Due)
	}
	if want, key, _ := wire.KeyID("tm", "mail", "order 17"); item.ID != want || e.Key != key || key != "order 17" {
		t.Errorf("id %s, key %q", item.ID, e.Key)
	}
	if e.Priority != 9 || e.MaxAttempts != 3 || e.Timeout != 2 || e.Deadline != at.UnixMilli() || e.Retention != 3600_000 ||
		e.ExpiresAt != at.Add(-time.Hour).UnixMilli() || len(e.Meta) != 2 || e.Meta["a"] != "1" || e.Kind != "note" ||
		string(e.Args) != `{"text":"hi"}` || e.Encoding != "" {
		t.Errorf("envelope %+v", e)
	}
}

func TestTheLastOptionWins(t *testing.T) {
	c := offline(t, Config{})
	at := time.UnixMilli(1_900_000_000_000)
	if _, item, _ := built(t, c, note{}, At(at), In(time.Second)); item.Due != (broker.Due{In: 1000}) {
		t.Errorf("At, In: %+v", item.Due)
	}
	if _, item, _ := built(t, c, note{}, In(time.Second), At(at)); item.Due != (broker.Due{At: at.UnixMilli()}) {
		t.Errorf("In, At: %+v", item.Due)
	}
	b, err := c.build(nil, note{}, []Option{Priority(1), Queue("a")}, []Option{Priority(2)})
	if err != nil || b.item.Envelope[2] != 2 {
		t.Errorf("an item's own option does not come after the shared one: %v", err)
	}
}

// TestLongestDurations: rounding up must not overflow into "now" or "never".
func TestLongestDurations(t *testing.T) {
	c := offline(t, Config{})
	const longest = time.Duration(math.MaxInt64)
	_, item, e := built(t, c, note{}, In(longest), Timeout(longest), Retain(longest), ExpireIn(longest))
	want := int64(math.MaxInt64/1_000_000 + 1)
	if item.Due.In != want || e.Timeout != want || e.Retention != want || e.ExpiresAt < time.Now().UnixMilli() {
		t.Errorf("due %+v, timeout %d, retention %d, expires %d", item.Due, e.Timeout, e.Retention, e.ExpiresAt)
	}
	for d, ms := range map[time.Duration]int64{0: 0, 1: 1, time.Millisecond: 1, time.Millisecond + 1: 2, time.Second - 1: 1000} {
		if got := ceilMS(d); got != ms {
			t.Errorf("ceilMS(%v) = %d, want %d", d, got, ms)
		}
	}
}

func TestBoundsThatAreAllowed(t *testing.T) {
	c := offline(t, Config{})
	last := time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC)
	for _, options := range [][]Option{
		{In(0)}, {At(time.UnixMilli(0))}, {At(last)}, {Priority(0)}, {MaxAttempts(1)}, {MaxAttempts(10000)}, {Timeout(1)},
		{Deadline(time.UnixMilli(1))}, {ExpireAt(last)}, {ExpireIn(1)}, {Retain(0)}, {ID(strings.Repeat("é", 128))},
		{Meta("k", strings.Repeat("x", 8<<10-1))}, {Queue(strings.Repeat("q", 128))}, {Queue("a-b_c.d:e")},
	} {
		built(t, c, note{}, options...)
	}
	if _, item, _ := built(t, c, note{}, At(last)); item.Due.At != 253402300799999 {
		t.Errorf("the last time became %d", item.Due.At)
	}
}
