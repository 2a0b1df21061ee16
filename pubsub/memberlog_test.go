package pubsub

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/internal/redistest"
)

// The log says what is to be seen to (a dead message) at a higher level than what is tried again, and calls a message that
// cannot be decoded, and a gap, by their names.
func TestMemberLogs(t *testing.T) {
	inBubble(t, func(t *testing.T, b *redistest.Bubble) {
		var log bytes.Buffer
		c, err := New(b.Client(), Config{Logger: zerolog.New(&log)})
		if err != nil {
			t.Fatal(err)
		}
		topic, err := NewDurable[order](c, "orders", KeepCount(100))
		if err != nil {
			t.Fatal(err)
		}
		r := &rig{t, c, topic}
		m := r.join("g", MaxAttempts(2), Backoff(time.Minute, time.Minute))
		r.publish(1, 1)
		go func() {
			time.Sleep(5 * time.Minute)
			_ = b.Client().XAdd(t.Context(), &redis.XAddArgs{Stream: "tm:topic:{orders}:stream", Values: []any{"data", "no JSON"}}).Err()
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		if err := m.Handle(ctx, func(context.Context, *Message[order]) error { return errors.New("no") }); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		var got []string
		for line := range strings.Lines(log.String()) {
			level, _, _ := strings.Cut(strings.TrimPrefix(line, `{"level":"`), `"`)
			_, text, _ := strings.Cut(line, `"message":"`)
			got = append(got, level+" "+strings.TrimSuffix(text, "\"}\n"))
		}
		slices.Sort(got)
		want := []string{"error message is dead", "error message is dead", "warn message cannot be decoded", "warn message failed", "warn message failed"}
		if !slices.Equal(got, want) {
			t.Errorf("%s", log.String())
		}
	})
}
