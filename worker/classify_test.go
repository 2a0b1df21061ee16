package worker

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/queue"
)

func TestClassify(t *testing.T) {
	boom := errors.New("boom")
	policy := Backoff{Base: 8 * time.Second, Cap: time.Minute, Factor: 2, Jitter: 0.5}
	half := func() float64 { return 0.5 }
	for name, c := range map[string]struct {
		err, cause   error
		attempt, max int
		want         verdict
	}{
		"success":                     {nil, nil, 1, 25, verdict{}},
		"success after a timeout":     {nil, queue.ErrTimeout, 1, 25, verdict{}},
		"success after a cancel":      {nil, queue.ErrCancelled, 1, 25, verdict{}},
		"success in a drain":          {nil, queue.ErrDraining, 1, 25, verdict{}},
		"success of a lost session":   {nil, queue.ErrSessionLost, 1, 25, verdict{drop: true}},
		"success of a lost job":       {nil, queue.ErrJobLost, 1, 25, verdict{drop: true}},
		"error of a lost session":     {boom, queue.ErrSessionLost, 1, 25, verdict{drop: true}},
		"dead of a lost job":          {queue.Dead(boom), queue.ErrJobLost, 1, 25, verdict{drop: true}},
		"error":                       {boom, nil, 1, 25, verdict{kind: broker.Retry, delay: 6 * time.Second, failed: true}},
		"second error":                {boom, nil, 2, 25, verdict{kind: broker.Retry, delay: 12 * time.Second, failed: true}},
		"tenth error":                 {boom, nil, 10, 25, verdict{kind: broker.Retry, delay: 45 * time.Second, failed: true}},
		"last error":                  {boom, nil, 25, 25, verdict{kind: broker.Dead, failed: true}},
		"beyond the last":             {boom, nil, 26, 25, verdict{kind: broker.Dead, failed: true}},
		"only attempt":                {boom, nil, 1, 1, verdict{kind: broker.Dead, failed: true}},
		"timeout":                     {boom, queue.ErrTimeout, 1, 25, verdict{kind: broker.Retry, delay: 6 * time.Second, failed: true}},
		"last timeout":                {boom, queue.ErrTimeout, 3, 3, verdict{kind: broker.Dead, failed: true}},
		"cancelled":                   {boom, queue.ErrCancelled, 1, 25, verdict{kind: broker.Cancelled}},
		"cancelled at the last":       {boom, queue.ErrCancelled, 25, 25, verdict{kind: broker.Cancelled}},
		"cancelled beats dead":        {queue.Dead(boom), queue.ErrCancelled, 1, 25, verdict{kind: broker.Cancelled}},
		"cancelled beats snooze":      {queue.Snooze(time.Hour), queue.ErrCancelled, 1, 25, verdict{kind: broker.Cancelled}},
		"cancelled beats retry after": {queue.RetryAfter(boom, time.Hour), queue.ErrCancelled, 1, 25, verdict{kind: broker.Cancelled}},
		"draining":                    {boom, queue.ErrDraining, 1, 25, verdict{kind: broker.Release}},
		"draining at the last":        {boom, queue.ErrDraining, 25, 25, verdict{kind: broker.Release}},
		"draining, retry after":       {queue.RetryAfter(boom, time.Hour), queue.ErrDraining, 1, 25, verdict{kind: broker.Release}},
		"draining, snoozed":           {queue.Snooze(time.Minute), queue.ErrDraining, 1, 25, verdict{kind: broker.Snooze, delay: time.Minute}},
		"draining, dead":              {queue.Dead(boom), queue.ErrDraining, 1, 25, verdict{kind: broker.Dead, failed: true}},
		"snooze":                      {queue.Snooze(time.Minute), nil, 1, 25, verdict{kind: broker.Snooze, delay: time.Minute}},
		"snooze at the last":          {queue.Snooze(0), nil, 25, 25, verdict{kind: broker.Snooze}},
		"wrapped snooze":              {fmt.Errorf("x: %w", queue.Snooze(time.Minute)), nil, 1, 25, verdict{kind: broker.Snooze, delay: time.Minute}},
		"dead":                        {queue.Dead(boom), nil, 1, 25, verdict{kind: broker.Dead, failed: true}},
		"wrapped dead":                {fmt.Errorf("x: %w", queue.Dead(boom)), nil, 1, 25, verdict{kind: broker.Dead, failed: true}},
		"retry after":                 {queue.RetryAfter(boom, time.Hour), nil, 1, 25, verdict{kind: broker.Retry, delay: time.Hour, failed: true}},
		"retry after at the last":     {queue.RetryAfter(boom, time.Hour), nil, 25, 25, verdict{kind: broker.Dead, failed: true}},
		"joined causes":               {boom, errors.Join(boom, queue.ErrCancelled), 1, 25, verdict{kind: broker.Cancelled}},
	} {
		if got := classify(c.err, c.cause, c.attempt, c.max, policy, half); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestClassifyUnknown(t *testing.T) {
	for _, c := range []struct {
		since   time.Duration
		snoozes int
		want    verdict
	}{
		{0, 0, verdict{kind: broker.Snooze, delay: 30 * time.Second}},
		{time.Minute, 1, verdict{kind: broker.Snooze, delay: time.Minute}},
		{time.Hour, 4, verdict{kind: broker.Snooze, delay: 8 * time.Minute}},
		{time.Hour, 5, verdict{kind: broker.Snooze, delay: 10 * time.Minute}},
		{24*time.Hour - 1, 1000, verdict{kind: broker.Snooze, delay: 10 * time.Minute}},
		{24 * time.Hour, 1000, verdict{kind: broker.Dead, failed: true}},
		{24 * time.Hour, 0, verdict{kind: broker.Dead, failed: true}},
	} {
		if got := classifyUnknown(c.since, c.snoozes); got != c.want {
			t.Errorf("%v, %d snoozes: %+v, want %+v", c.since, c.snoozes, got, c.want)
		}
	}
}
