package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/conn"
)

func TestDuplicateError(t *testing.T) {
	id := uuid.MustParse("0192f0c1-2b3c-7d4e-8f50-112233445566")
	for _, x := range []struct {
		outcome   broker.Outcome
		cancelled bool
		text      string
	}{
		{broker.Duplicate, false, "duplicate job 0192f0c1-2b3c-7d4e-8f50-112233445566"},
		{broker.DuplicateCancelled, true, "duplicate job 0192f0c1-2b3c-7d4e-8f50-112233445566 (cancelled)"},
	} {
		err := fmt.Errorf("enqueue email: %w", outcome(x.outcome, id))
		var duplicate *DuplicateError
		if !errors.Is(err, ErrDuplicate) || !errors.As(err, &duplicate) || duplicate.ID != id || duplicate.Cancelled != x.cancelled {
			t.Errorf("%v", err)
		}
		if duplicate.Error() != x.text || errors.Is(err, ErrInvalid) {
			t.Errorf("%v", err)
		}
	}
	if err := outcome(broker.Created, id); err != nil {
		t.Error(err)
	}
	if err := outcome(broker.NotEnvelope, id); !errors.Is(err, ErrInvalid) || errors.Is(err, ErrDuplicate) {
		t.Error(err)
	}
}

func TestBatchError(t *testing.T) {
	if err := summary([]Result{{}, {}}); err != nil {
		t.Errorf("a batch without failures: %v", err)
	}
	duplicate := &DuplicateError{ID: uuid.New()}
	err := fmt.Errorf("seed: %w", summary([]Result{{}, {Err: duplicate}, {Err: ErrRedisFull}}))
	var batch *BatchError
	if !errors.As(err, &batch) || batch.Failed != 2 || batch.Of != 3 || !errors.Is(err, ErrDuplicate) || errors.Is(err, ErrRedisFull) {
		t.Errorf("%v", err)
	}
	if want := "2 of 3 jobs were not created, the first because: " + duplicate.Error(); batch.Error() != want {
		t.Errorf("got %q, want %q", batch, want)
	}
}

func TestVerdicts(t *testing.T) {
	cause := errors.New("no such user")
	var dead *DeadError
	if err := fmt.Errorf("job: %w", Dead(cause)); !errors.As(err, &dead) || !errors.Is(err, cause) || dead.Error() != "no such user" {
		t.Error(err)
	}
	if err := Dead(nil); err == nil || err.Error() != "the handler gave up" {
		t.Error(err)
	}
	var retry *RetryAfterError
	if err := fmt.Errorf("job: %w", RetryAfter(cause, time.Minute)); !errors.As(err, &retry) || retry.After != time.Minute || !errors.Is(err, cause) {
		t.Error(err)
	}
	if !errors.As(RetryAfter(nil, -time.Second), &retry) || retry.After != 0 || retry.Error() != "the handler asked for a retry" {
		t.Errorf("%v after %v", retry, retry.After)
	}
	var snooze *SnoozeError
	if err := fmt.Errorf("job: %w", Snooze(90*time.Second)); !errors.As(err, &snooze) || snooze.After != 90*time.Second || snooze.Error() != "snoozed for 1m30s" {
		t.Error(err)
	}
	if !errors.As(Snooze(-1), &snooze) || snooze.After != 0 {
		t.Errorf("a snooze of %v", snooze.After)
	}
	if errors.As(Dead(cause), &retry) || errors.As(Snooze(0), &dead) {
		t.Error("verdicts are taken for each other")
	}
}

func TestCausesAreDistinct(t *testing.T) {
	causes := []error{ErrTimeout, ErrCancelled, ErrDraining, ErrSessionLost, ErrJobLost}
	for i, a := range causes {
		for j, b := range causes {
			if errors.Is(a, b) != (i == j) {
				t.Errorf("%v and %v", a, b)
			}
		}
	}
	if !errors.Is(ErrTimeout, context.DeadlineExceeded) {
		t.Error("a timeout is a deadline exceeded to code that knows nothing of us")
	}
}

func TestSetResult(t *testing.T) {
	job := NewJob(Info{}, note{}, 7)
	given := []byte("abc")
	if err := job.SetResult(given); err != nil || job.Token() != 7 {
		t.Fatal(err)
	}
	given[0] = 'X'
	if string(job.Result()) != "abc" {
		t.Error("the result is the caller's buffer, which may change before it is sent")
	}
	err := job.SetResult(make([]byte, MaxResult+1))
	if !errors.Is(err, ErrPayloadTooLarge) || err.Error() != "payload too large: result of 65537 bytes; allowed: 65536" {
		t.Error(err)
	}
	if string(job.Result()) != "abc" || job.SetResult(make([]byte, MaxResult)) != nil || len(job.Result()) != MaxResult {
		t.Error("the largest result is refused, or a refused one was set")
	}
}

// serverSays is an error reply.
type serverSays string

func (s serverSays) Error() string { return string(s) }
func (serverSays) RedisError()     {}

func TestOutward(t *testing.T) {
	dial := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	for _, x := range []struct {
		err              error
		kind             error
		unknown, refused bool
	}{
		{io.EOF, ErrUnavailable, true, false},
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, ErrUnavailable, true, false},
		{dial, ErrUnavailable, false, true},
		{redis.ErrPoolTimeout, ErrUnavailable, false, true},
		{prelude{io.EOF}, ErrUnavailable, false, true},
		{serverSays("LOADING Redis is loading the dataset in memory"), ErrUnavailable, false, true},
		{serverSays("READONLY You can't write against a read only replica."), ErrUnavailable, false, true},
		{fmt.Errorf("cancel: %w", broker.ErrExpired), ErrUnavailable, false, true},
		{serverSays("OOM command not allowed when used memory > 'maxmemory'."), ErrRedisFull, false, true},
		{redis.ErrClosed, ErrClosed, false, false},
		{fmt.Errorf("%w: pool_size", conn.ErrConfig), ErrInvalid, false, false},
	} {
		out := outward(x.err)
		if !errors.Is(out, x.kind) || !errors.Is(out, x.err) {
			t.Errorf("%v became %v, want %v", x.err, out, x.kind)
		}
		if again := outward(out); again != out {
			t.Errorf("%v is wrapped twice: %v", x.err, again)
		}
		if got := uncertain(x.err, false); errors.Is(got, ErrOutcomeUnknown) != x.unknown {
			t.Errorf("%v: outcome unknown is %v", x.err, !x.unknown)
		}
		if got := uncertain(x.err, true); errors.Is(got, ErrOutcomeUnknown) != (x.kind == ErrUnavailable) {
			t.Errorf("%v behind a client that retries: %v", x.err, got)
		}
		if refused(x.err) != x.refused {
			t.Errorf("%v: refused is %v", x.err, !x.refused)
		}
	}
	if outward(nil) != nil || uncertain(nil, true) != nil {
		t.Error("nil became an error")
	}
	key := &broker.KeyTypeError{Key: "tm:{q}:meta"}
	if err := outward(key); err != error(key) || !strings.Contains(err.Error(), "tm:{q}:meta") {
		t.Error(err)
	}
}
