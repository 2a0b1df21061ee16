package worker

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/backoff"
	"github.com/tidemill/tidemill/internal/conn"
	"github.com/tidemill/tidemill/internal/loop"
	"github.com/tidemill/tidemill/internal/wire"
	"github.com/tidemill/tidemill/pubsub"
)

// control takes hints from the control topic: they save waiting for a heartbeat, or for the next look at the orders, which
// find the truth in Redis.
type control struct {
	w        *Worker
	messages *pubsub.Client
}

// refusedPolicy paces the tries for the control topic where Redis refuses it: only a person can mend that.
var refusedPolicy = backoff.Policy{Base: time.Second, Cap: time.Minute, Factor: 2, Jitter: 0.5}

// Run subscribes and listens until ctx ends. Without hints everything still works, within a heartbeat.
func (c *control) Run(ctx context.Context) error {
	limit := loop.NewLimiter(10 * time.Minute)
	_ = loop.Retry(ctx, refusedPolicy, func(ctx context.Context) error {
		err := c.listen(ctx)
		if ctx.Err() != nil || conn.Closed(err) || errors.Is(err, pubsub.ErrClosed) {
			return nil
		}
		return err
	}, func(err error, _ int, _ time.Duration) {
		limit.Event(c.w.log.Warn()).Err(err).
			Msg("the control channel is not to be had: cancel and pause take up to a heartbeat, orders to a worker up to a minute")
	})
	return nil
}

func (c *control) listen(ctx context.Context) error {
	topic, err := pubsub.NewTopic[pubsub.Raw](c.messages, c.w.broker.Space().Control())
	if err != nil {
		return err
	}
	var sub *pubsub.Subscription[pubsub.Raw]
	err = loop.Retry(ctx, outagePolicy, func(ctx context.Context) (err error) {
		if sub, err = topic.Subscribe(ctx); errors.Is(err, pubsub.ErrAuth) { // passwords are changed at one place first
			return err
		}
		return loop.Permanent(err)
	}, nil)
	if err != nil {
		return err
	}
	defer sub.Close()
	c.look() // what was said before it stood
	return sub.Handle(ctx, c.hear, pubsub.OnGap(func(context.Context, *pubsub.Gap) { c.look() }))
}

// look reads the truth: what was said meanwhile may be missed.
func (c *control) look() {
	c.w.keeper.now.Set()
	c.w.announcer.ordered.Set()
}

// hear takes one hint: "cancel <queue> <id>", "look <queue>" or "order <instance>".
func (c *control) hear(_ context.Context, m *pubsub.Message[pubsub.Raw]) error {
	words := strings.Fields(string(m.Data))
	switch {
	case len(words) == 3 && words[0] == "cancel":
		c.w.cancelHint(words[1], words[2])
	case len(words) == 2 && words[0] == wire.OrderHint:
		if words[1] == c.w.instance || words[1] == "*" {
			c.w.announcer.ordered.Set()
		}
	case len(words) == 2 && words[0] == "look":
		for _, one := range c.w.consumers {
			if one.name == words[1] {
				c.w.keeper.now.Set()
			}
		}
	}
	return nil
}

// cancelHint ends a handler whose job was marked. The mark is known to be there: it was set before the hint was sent.
func (w *Worker) cancelHint(name, id string) {
	uid, err := uuid.Parse(id)
	if err != nil {
		return
	}
	for _, c := range w.consumers {
		if c.name != name {
			continue
		}
		found := false
		w.mu.Lock()
		c.each(func(r *run) { found = found || r.claim.ID == uid && r.phase <= started })
		w.mu.Unlock()
		if found {
			w.keeper.now.Set() // the heartbeat's answer names the claim that is marked
		}
	}
}
