package worker

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/queue"
)

func space(t testing.TB) keys.Space {
	t.Helper()
	s, err := keys.NewSpace("")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestZeroConfigWorks(t *testing.T) {
	var c Config
	if err := c.prepare(space(t)); err != nil {
		t.Fatal(err)
	}
	if c.Concurrency != 20 || c.SessionTTL != 6*time.Second || c.CrashLimit != 3 || c.Drain != 25*time.Second ||
		c.Settle != 5*time.Second || c.StuckAfter != 10*time.Second || c.Retry.Validate() != nil {
		t.Errorf("%+v", c)
	}
	if len(c.Queues) != 1 || c.Queues[0] != (Queue{Name: "default", Weight: 1}) {
		t.Errorf("%+v", c.Queues)
	}
}

func TestConfigLeavesTheCallersQueues(t *testing.T) {
	mine := []Queue{{Name: "a"}}
	c := Config{Queues: mine}
	if err := c.prepare(space(t)); err != nil || c.Queues[0].Weight != 1 || mine[0].Weight != 0 {
		t.Errorf("%v, %+v, %+v", err, c.Queues, mine)
	}
}

// Every fault is named at once, with the value and what is allowed.
func TestConfigFaults(t *testing.T) {
	c := Config{
		Queues:      []Queue{{Name: "a", Weight: 1001}, {Name: "b", Weight: -1, Concurrency: -2}, {Name: "a"}, {Name: "no spaces"}},
		Concurrency: -1, SessionTTL: time.Second, CrashLimit: 101, Retry: Backoff{Cap: time.Millisecond, Factor: 0.5},
		Timeout: -1, Drain: -2, Settle: -3, StuckAfter: -4,
	}
	err := c.prepare(space(t))
	if !errors.Is(err, queue.ErrInvalid) {
		t.Fatal(err)
	}
	want := []string{
		"invalid Concurrency: -1; allowed: 1 to 1000000",
		"invalid SessionTTL: 1s; allowed: 2s to 1h",
		"invalid CrashLimit: 101; allowed: 1 to 100",
		"invalid Retry: backoff: cap is 1ms, must be above 0 and at least the base (1s)",
		"backoff: factor is 0.5, must be a finite number of at least 1; allowed: a valid policy",
		"invalid Timeout: -1ns; allowed: 0 or more",
		"invalid Drain: -2ns; allowed: 0 or more",
		"invalid Settle: -3ns; allowed: 0 or more",
		"invalid StuckAfter: -4ns; allowed: 0 or more",
		"invalid weight of queue a: 1001; allowed: 1 to 1000",
		"invalid weight of queue b: -1; allowed: 1 to 1000",
		"invalid concurrency of queue b: -2; allowed: 0 (no bound of its own) or more",
		"invalid Queues: a; allowed: each name once",
		`invalid queue: "no spaces" is not a name; allowed are 1 to 128 of A-Z a-z 0-9 _ - . :`,
	}
	if got := err.Error(); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}
