package pitfalls

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// The root context ends inside handlers: what they return is told to Redis all the same.
func TestPitfall08ContextKillsAcks(t *testing.T) {
	x := newWorld(t)
	var l ledger
	mux := l.mux()
	var p *running
	known := make(chan struct{})     // p is
	gather := make(chan struct{}, 5) // all handlers are at work
	until := func(fn func(context.Context, *queue.Job[queue.Raw]) error) worker.Handler {
		return func(ctx context.Context, job *queue.Job[queue.Raw]) error {
			gather <- struct{}{}
			for len(gather) < cap(gather) {
				<-time.After(time.Millisecond)
			}
			<-known
			p.end()
			if ctx.Err() != nil {
				t.Errorf("%s: the handler's context ended with the root: %v", job.Kind, context.Cause(ctx))
			}
			return fn(ctx, job)
		}
	}
	mux.HandleKind("nil", until(func(context.Context, *queue.Job[queue.Raw]) error { return nil }))
	mux.HandleKind("result", until(func(_ context.Context, job *queue.Job[queue.Raw]) error { return job.SetResult([]byte("42")) }))
	mux.HandleKind("retry", until(func(context.Context, *queue.Job[queue.Raw]) error { return errors.New("no") }))
	mux.HandleKind("dead", until(func(context.Context, *queue.Job[queue.Raw]) error { return queue.Dead(errors.New("no")) }))
	mux.HandleKind("snooze", until(func(context.Context, *queue.Job[queue.Raw]) error { return queue.Snooze(time.Hour) }))
	x.addKind("nil")
	kept := x.addKind("result", queue.Retain(time.Hour))
	again := x.addKind("retry")
	x.addKind("dead")
	x.addKind("snooze")
	p = x.work(x.open(x.srv.Addr(), 0), mux, worker.Config{Concurrency: cap(gather)})
	close(known)
	<-p.done
	x.must(p.err)
	n := x.counts()
	if n.Succeeded != 2 || n.Failed != 2 || n.Dead != 1 || n.Scheduled != 2 || n.Ready+n.Running != 0 || l.starts() != 5 {
		t.Errorf("%d starts, %+v", l.starts(), n)
	}
	if s, err := x.client.Get(x.ctx, queue.DefaultQueue, kept.String()); err != nil || s.State != queue.Succeeded || string(s.Result) != "42" {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := x.client.Get(x.ctx, queue.DefaultQueue, again.String()); err != nil || s.State != queue.Scheduled || s.Attempts != 1 {
		t.Errorf("%+v, %v", s, err)
	}
}

func succeed(context.Context, *queue.Job[queue.Raw]) error { return nil }

// failOnce fails the first attempt.
func failOnce(_ context.Context, job *queue.Job[queue.Raw]) error {
	if job.Attempt == 1 {
		return queue.RetryAfter(errors.New("once more"), time.Millisecond)
	}
	return nil
}
