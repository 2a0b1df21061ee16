package queue_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

func TestEnqueueTxWithTheRest(t *testing.T) {
	everywhere(t, func(t *testing.T, c *queue.Client) {
		ctx := t.Context()
		var welcome, reminder, again *queue.Pending
		_, err := c.Redis().TxPipelined(ctx, func(pipe redis.Pipeliner) (err error) {
			pipe.Set(ctx, "user:1", "ann", 0)
			if welcome, err = c.EnqueueTx(ctx, pipe, email{"ann"}, queue.ID("welcome 1")); err != nil {
				return err
			}
			if reminder, err = c.EnqueueTx(ctx, pipe, email{"ann"}, queue.In(time.Hour)); err != nil {
				return err
			}
			again, err = c.EnqueueTx(ctx, pipe, email{"ann"}, queue.ID("welcome 1"))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []*queue.Pending{welcome, reminder} {
			if err := p.Result(); err != nil {
				t.Error(err)
			}
		}
		var duplicate *queue.DuplicateError
		if err := again.Result(); !errors.As(err, &duplicate) || duplicate.ID != welcome.ID || again.ID != welcome.ID {
			t.Errorf("%v", err)
		}
		if got := c.Redis().Get(ctx, "user:1").Val(); got != "ann" {
			t.Errorf("the rest of the transaction: %q", got)
		}
		if n := counts(t, c, "default"); n.Ready != 1 || n.Scheduled != 1 || n.Enqueued != 2 {
			t.Errorf("%+v", n)
		}
		if names, err := c.Queues(ctx); err != nil || len(names) != 1 {
			t.Errorf("queues %q, %v", names, err)
		}
	})
}

func TestEnqueueTxThatIsNotExecuted(t *testing.T) {
	everywhere(t, func(t *testing.T, c *queue.Client) {
		ctx := t.Context()
		pipe := c.Redis().TxPipeline()
		pending, err := c.EnqueueTx(ctx, pipe, email{"x"})
		if err != nil {
			t.Fatal(err)
		}
		pipe.Discard()
		if err := pending.Result(); !errors.Is(err, queue.ErrOutcomeUnknown) || !strings.Contains(err.Error(), "was not executed") {
			t.Errorf("discarded: %v", err)
		}
		if _, err := c.EnqueueTx(ctx, pipe, email{"x"}, queue.Priority(10)); !errors.Is(err, queue.ErrInvalid) {
			t.Error(err)
		}
		if n := counts(t, c, "default"); n.Enqueued != 0 {
			t.Errorf("%+v", n)
		}
	})
}

// secondTry is a hook as people write them: a transaction whose reply was lost is sent again as it is. go-redis does so by
// itself only in Cluster.
type secondTry struct{ redis.Hook }

func (secondTry) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (secondTry) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (secondTry) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		if err != nil {
			for _, cmd := range cmds {
				cmd.SetErr(nil)
			}
			err = next(ctx, cmds)
		}
		return err
	}
}

// TestEnqueueTxSentAgain: the caller's client sends the whole transaction again when the reply to EXEC is lost. What else
// is in it is done twice, the job is created once: also when it was claimed in between.
func TestEnqueueTxSentAgain(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		direct, ctx := open(t, srv.URL()), t.Context()
		p := redistest.NewProxy(t, srv.Addr())
		rdb := redis.NewClient(&redis.Options{Addr: p.Addr()})
		defer rdb.Close()
		rdb.AddHook(secondTry{})
		c := around(t, rdb)
		p.DropReply(redistest.Once(redistest.On("EXEC")))
		again := redistest.Nth(2, redistest.On("MULTI"))
		release := p.HoldRequest(again)
		done := make(chan error, 1)
		var pending *queue.Pending
		go func() {
			_, err := rdb.TxPipelined(ctx, func(pipe redis.Pipeliner) (err error) {
				pipe.Incr(ctx, "tries")
				pending, err = c.EnqueueTx(ctx, pipe, email{"x"})
				return err
			})
			done <- err
		}()
		redistest.WaitFor(t, soon, func() bool { return p.Held() == 1 }, "the client to try again")
		if jobs := claim(t, direct, "default", 10); len(jobs) != 1 {
			t.Fatalf("%d jobs after the first try", len(jobs))
		}
		release()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if err := pending.Result(); err != nil {
			t.Error(err)
		}
		n := counts(t, direct, "default")
		if tries := rdb.Get(ctx, "tries").Val(); tries != "2" || n.Enqueued != 1 || n.Ready != 0 {
			t.Errorf("%s tries, %+v", tries, n)
		}
	})
}

func TestEnqueueTxLostReply(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		c, p := behind(t, srv)
		ctx := t.Context()
		enqueue(t, c, email{"warm"})
		p.DropReply(redistest.Once(redistest.On("EXEC")))
		pipe := c.Redis().TxPipeline()
		pending, err := c.EnqueueTx(ctx, pipe, email{"x"}, queue.ID("x"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pipe.Exec(ctx); err == nil {
			t.Fatal("the reply arrived")
		}
		if err := pending.Result(); !errors.Is(err, queue.ErrOutcomeUnknown) || !errors.Is(err, queue.ErrUnavailable) {
			t.Error(err)
		}
		if _, err := c.Enqueue(ctx, email{"x"}, queue.ID("x")); !errors.Is(err, queue.ErrDuplicate) {
			t.Errorf("it was created all the same: %v", err)
		}
	})
}

// TestEnqueueTxWrongKeyType: Redis carries out the rest; the result names the key.
func TestEnqueueTxWrongKeyType(t *testing.T) {
	everywhere(t, func(t *testing.T, c *queue.Client) {
		ctx := t.Context()
		c.Redis().Set(ctx, "tm:{default}:jobs", "a string", 0)
		pipe := c.Redis().TxPipeline()
		pipe.Set(ctx, "before", "1", 0)
		pending, err := c.EnqueueTx(ctx, pipe, email{"x"})
		if err != nil {
			t.Fatal(err)
		}
		pipe.Set(ctx, "after", "1", 0)
		if _, err := pipe.Exec(ctx); err == nil {
			t.Error("EXEC tells nothing of it")
		}
		err = pending.Result()
		if err == nil || !strings.Contains(err.Error(), `"tm:{default}:jobs"`) || errors.Is(err, queue.ErrOutcomeUnknown) {
			t.Errorf("result: %v", err)
		}
		if n := c.Redis().Exists(ctx, "before", "after").Val(); n != 2 {
			t.Errorf("%d of the other writes", n)
		}
		if n := c.Redis().Exists(ctx, "tm:{default}:ready:0", "tm:{default}:meta").Val(); n != 0 {
			t.Errorf("%d keys were written by a script that refused", n)
		}
	})
}

// TestScriptFlush: the server may forget scripts at any time.
func TestScriptFlush(t *testing.T) {
	everywhere(t, func(t *testing.T, c *queue.Client) {
		ctx := t.Context()
		flush := func() {
			if err := c.Redis().ScriptFlush(ctx).Err(); err != nil {
				t.Fatal(err)
			}
		}
		flush()
		enqueue(t, c, email{"x"})
		flush()
		pipe := c.Redis().TxPipeline()
		pending, err := c.EnqueueTx(ctx, pipe, email{"x"})
		if err != nil {
			t.Fatal(err)
		}
		flush()
		if _, err := pipe.Exec(ctx); err != nil || pending.Result() != nil {
			t.Errorf("%v, %v", err, pending.Result())
		}
		flush()
		if _, err := c.EnqueueMany(ctx, queue.Items(make([]email, 2500))); err != nil {
			t.Error(err)
		}
		flush()
		if _, err := c.Cancel(ctx, "default", pending.ID.String()); err != nil {
			t.Error(err)
		}
		expectCancelled := counts(t, c, "default")
		if expectCancelled.Ready != 2501 || expectCancelled.Cancelled != 1 {
			t.Errorf("%+v", expectCancelled)
		}
	})
}
