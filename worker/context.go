package worker

import (
	"context"
	"sync"
	"time"

	"github.com/tidemill/tidemill/queue"
)

// jobContext is a handler's context. Most handlers of short jobs never look at it, so the cancellable context and the
// logger inside are made when first asked for.
type jobContext struct {
	w        *Worker
	info     *queue.Info
	deadline time.Time

	mu    sync.Mutex
	inner *innerContext // once it was asked for
	cause error         // why it ended, also before inner was made
	ended time.Time     // when
	freed bool          // the handler returned: a context that is asked for now is over
}

// innerContext is what a jobContext stands for.
type innerContext struct {
	context.Context
	cancel context.CancelCauseFunc
}

// describe says which job the context's logger tells of.
func (c *jobContext) describe(info *queue.Info) { c.info = info }

// end ends the context; the first cause counts.
func (c *jobContext) end(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != nil {
		return
	}
	c.cause, c.ended = cause, time.Now()
	if c.inner != nil {
		c.inner.cancel(cause)
	}
}

// over answers when and why the context ended; nil while it has not.
func (c *jobContext) over() (time.Time, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended, c.cause
}

func (c *jobContext) made() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inner == nil {
		log := c.w.jobLog(c.info).Logger()
		ctx, cancel := context.WithCancelCause(log.WithContext(c.w.base))
		c.inner = &innerContext{ctx, cancel}
		if c.cause != nil {
			cancel(c.cause)
		} else if c.freed {
			cancel(context.Canceled)
		}
	}
	return c.inner
}

// free releases what the context holds, after its handler returned, and answers why it ended before that, if it did.
func (c *jobContext) free() (cause error) {
	c.mu.Lock()
	cause = c.cause
	c.freed = true
	if c.inner != nil {
		c.inner.cancel(context.Canceled)
	}
	c.mu.Unlock()
	return cause
}

// Deadline is when the attempt's timeout or the job's deadline ends it.
func (c *jobContext) Deadline() (time.Time, bool) { return c.deadline, !c.deadline.IsZero() }

// Done is closed when the attempt must end; context.Cause tells why.
func (c *jobContext) Done() <-chan struct{} { return c.made().Done() }

// Err is nil until Done is closed.
func (c *jobContext) Err() error { return c.made().Err() }

// Value finds the job's logger, and what the context given to Run holds.
func (c *jobContext) Value(key any) any { return c.made().Value(key) }
