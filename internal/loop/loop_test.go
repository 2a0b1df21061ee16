package loop

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/internal/backoff"
)

var errBoom = errors.New("boom")

var steady = backoff.Policy{Base: time.Second, Cap: 8 * time.Second, Factor: 2}

func TestRetryUntilItWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		calls := 0
		var waits []time.Duration
		err := Retry(t.Context(), steady, func(context.Context) error {
			if calls++; calls <= 5 {
				return errBoom
			}
			return nil
		}, func(err error, attempt int, next time.Duration) {
			if !errors.Is(err, errBoom) || attempt != len(waits)+1 {
				t.Errorf("onErr(%v, %d)", err, attempt)
			}
			waits = append(waits, next)
		})
		if err != nil || calls != 6 {
			t.Fatalf("err %v after %d calls", err, calls)
		}
		if got := time.Since(start); got != (1+2+4+8+8)*time.Second {
			t.Fatalf("took %v; waits %v", got, waits)
		}
	})
}

func TestRetryCountsAnewAfterALongRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var attempts []int
		calls := 0
		err := Retry(t.Context(), steady, func(ctx context.Context) error {
			switch calls++; calls {
			case 3: // worked for an hour, then broke
				return errors.Join(Sleep(ctx, time.Hour), errBoom)
			case 5:
				return nil
			}
			return errBoom
		}, func(_ error, attempt int, _ time.Duration) { attempts = append(attempts, attempt) })
		if err != nil {
			t.Fatal(err)
		}
		if want := []int{1, 2, 1, 2}; len(attempts) != 4 || attempts[2] != want[2] || attempts[3] != want[3] {
			t.Fatalf("attempts %v, want %v", attempts, want)
		}
	})
}

func TestRetryEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stopped := errors.New("stopped")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(90*time.Second, func() { cancel(stopped) })
		start := time.Now()
		err := Retry(ctx, steady, func(context.Context) error { return errBoom }, nil)
		if !errors.Is(err, stopped) || !errors.Is(err, errBoom) {
			t.Fatalf("got %v, want both the cause and the last failure", err)
		}
		if got := time.Since(start); got != 90*time.Second {
			t.Fatalf("ended after %v", got)
		}
		err = Retry(ctx, steady, func(context.Context) error { t.Error("called"); return nil }, nil)
		if !errors.Is(err, stopped) {
			t.Fatalf("already ended: %v", err)
		}
	})
}

func TestRetryStopsForGood(t *testing.T) {
	if err := Retry(t.Context(), steady, func(context.Context) error { return Permanent(errBoom) }, nil); err != errBoom {
		t.Fatalf("permanent: got %v, want the bare error", err)
	}
	if Permanent(nil) != nil {
		t.Fatal("Permanent(nil) is not nil")
	}
	err := Retry(t.Context(), backoff.Policy{}, func(context.Context) error { return errBoom }, nil)
	if err == nil || !strings.Contains(err.Error(), "base") {
		t.Fatalf("a policy that would spin is refused: %v", err)
	}
}

func TestRetryJitters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := map[time.Duration]bool{}
		ctx, cancel := context.WithCancel(t.Context())
		policy := backoff.Policy{Base: time.Second, Cap: time.Second, Factor: 1, Jitter: 0.5}
		_ = Retry(ctx, policy, func(context.Context) error { return errBoom }, func(_ error, _ int, next time.Duration) {
			if seen[next] = true; len(seen) == 50 {
				cancel()
			}
		})
		if len(seen) != 50 {
			t.Fatalf("%d waits differ", len(seen))
		}
	})
}

func TestSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		if err := Sleep(ctx, 10*time.Second); err != nil || time.Since(start) != 10*time.Second {
			t.Fatalf("%v after %v", err, time.Since(start))
		}
		if err := Sleep(ctx, -1); err != nil {
			t.Fatal(err)
		}
		if err := Sleep(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Minute {
			t.Fatalf("%v after %v", err, time.Since(start))
		}
		if err := Sleep(ctx, 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("ended: %v", err)
		}
	})
}

func TestEvery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute+time.Millisecond)
		defer cancel()
		calls := 0
		if err := Every(ctx, 10*time.Second, func(context.Context) error { calls++; return nil }); err != nil {
			t.Fatal(err)
		}
		if calls != 6 {
			t.Fatalf("%d calls in a minute", calls)
		}
		start := time.Now()
		err := Every(t.Context(), time.Second, func(ctx context.Context) error {
			if calls++; calls == 9 {
				return errBoom
			}
			return Sleep(ctx, 10*time.Second) // slower than the tick: ticks merge, calls never overlap
		})
		if err != errBoom || time.Since(start) != 21*time.Second {
			t.Fatalf("%v after %v", err, time.Since(start))
		}
		if Every(t.Context(), 0, nil) == nil {
			t.Fatal("an interval of 0 is accepted")
		}
	})
}

func TestLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := zerolog.New(&out)
		limiter := NewLimiter(10 * time.Second)
		for range 100 { // 25 s
			limiter.Event(log.Warn()).Err(errBoom).Msg("redis does not answer")
			time.Sleep(250 * time.Millisecond)
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != 3 {
			t.Fatalf("%d lines, want the first at once and one each 10 s:\n%s", len(lines), out.String())
		}
		if strings.Contains(lines[0], "suppressed") || !strings.Contains(lines[1], `"suppressed":39`) {
			t.Fatalf("counts: %q", lines)
		}
		silent := log.Level(zerolog.ErrorLevel)
		var zero Limiter
		if zero.Event(silent.Warn()) != nil {
			t.Fatal("an event below the level went out")
		}
		if n, ok := zero.Allow(); n != 0 || !ok {
			t.Fatal("an event below the level was counted")
		}
		time.Sleep(DefaultLimit - 1)
		if _, ok := zero.Allow(); ok {
			t.Fatal("the zero value does not limit")
		}
	})
}

func TestTriggerCoalesces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trigger := NewTrigger()
		trigger.Set()
		trigger.Set()
		<-trigger.C()
		select {
		case <-trigger.C():
			t.Fatal("two sets made two wake-ups")
		default:
		}
		woken := make(chan struct{})
		go func() { <-trigger.C(); close(woken) }()
		synctest.Wait()
		trigger.Set()
		<-woken
	})
}
