package queue_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// endsWith is a hook that ends a context behind a pipeline, and says of each of its calls no more than that: as a Cluster's
// client does where it was to follow a redirection.
type endsWith struct {
	redis.Hook
	end context.CancelFunc
}

func (h endsWith) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (h endsWith) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (h endsWith) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if len(cmds) < 3 {
			return next(ctx, cmds)
		}
		_ = next(ctx, cmds)
		h.end()
		for _, cmd := range cmds {
			cmd.SetErr(ctx.Err())
		}
		return ctx.Err()
	}
}

// A batch whose context ended before it could be told what its calls came to may be in.
func TestManyWhoseContextHidesTheOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := redistest.NewBubble(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		rdb := b.Client(func(o *redis.Options) { o.MaxRetries = 3 })
		rdb.AddHook(endsWith{end: cancel})
		c := around(t, rdb)
		enqueue(t, c, email{"warm"})
		_, err := c.EnqueueMany(ctx, queue.Items(make([]email, 1500)))
		if !errors.Is(err, queue.ErrOutcomeUnknown) || !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		expectReady(t, c, "default", 1501)
	})
}
