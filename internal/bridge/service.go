package bridge

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/tidemill/tidemill/internal/backoff"
	"github.com/tidemill/tidemill/internal/loop"
	"github.com/tidemill/tidemill/pubsub"
	"github.com/tidemill/tidemill/worker"
)

const (
	// width is how many messages of a subscription are made jobs at once: they share round trips.
	width = 64
	// room is how many messages of a live topic wait for that, and as many more for up to patience.
	room     = 4096
	patience = 10 * time.Second
)

// asking bounds one try to subscribe, after which the log says that it is away.
const asking = 5 * time.Second

// again paces the tries to subscribe.
var again = backoff.Policy{Base: 100 * time.Millisecond, Cap: 5 * time.Second, Factor: 2, Jitter: 0.5}

// service serves one subscription.
type service struct {
	set  *Set
	what Subscription
	end  context.CancelFunc
	done chan struct{}

	mu    sync.Mutex
	here  bool
	cause error // why it is not
}

// run subscribes until ctx ends, again whenever that ended.
func (v *service) run(ctx context.Context) {
	defer close(v.done)
	limit := loop.NewLimiter(0)
	for attempt := 1; ctx.Err() == nil; attempt++ {
		began := time.Now()
		err := v.serve(ctx)
		if ctx.Err() != nil {
			break
		}
		if err == nil {
			err = errors.New("it ended")
		}
		if v.note(false, err) || time.Since(began) > again.Cap {
			attempt = 1
		}
		limit.Event(v.set.log.Warn()).Err(err).Str("subscription", v.what.String()).Msg("the subscription is away; trying again")
		_ = loop.Sleep(ctx, again.Delay(attempt, nil)) // the end of ctx is seen above
	}
	v.set.log.Info().Str("subscription", v.what.String()).Msg("the subscription ended")
}

// serve subscribes and makes jobs of messages, until ctx or the subscription ends.
func (v *service) serve(ctx context.Context) error {
	handler, err := worker.EnqueueMessages(v.set.jobs, v.what.Kind, v.what.options()...)
	if err != nil {
		return err
	}
	handler = gently(handler)
	client, err := v.set.client()
	if err != nil {
		return err
	}
	if v.what.Group == "" {
		return v.live(ctx, client, handler)
	}
	topic, err := pubsub.NewDurable[pubsub.Raw](client, v.what.Topic)
	if err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, asking)
	defer cancel()
	member, err := topic.Subscribe(bounded, v.what.Group)
	if err != nil {
		return err
	}
	defer member.Close()
	v.arrived()
	return member.Handle(ctx, handler, pubsub.Concurrency(width))
}

func (v *service) live(ctx context.Context, client *pubsub.Client, handler pubsub.Handler[pubsub.Raw]) error {
	sub, err := v.subscribe(ctx, client)
	if err != nil {
		return err
	}
	defer sub.Close()
	v.arrived()
	return sub.Handle(ctx, handler, pubsub.Concurrency(width), pubsub.OnGap(v.missed))
}

func (v *service) subscribe(ctx context.Context, client *pubsub.Client) (*pubsub.Subscription[pubsub.Raw], error) {
	ctx, cancel := context.WithTimeout(ctx, asking)
	defer cancel()
	options := []pubsub.SubscribeOption{pubsub.Buffer(room), pubsub.WhenFull(pubsub.Block(patience))}
	if v.what.Pattern != "" {
		pattern, err := pubsub.NewPattern[pubsub.Raw](client, v.what.Pattern)
		if err != nil {
			return nil, err
		}
		return pattern.Subscribe(ctx, options...)
	}
	topic, err := pubsub.NewTopic[pubsub.Raw](client, v.what.Topic)
	if err != nil {
		return nil, err
	}
	return topic.Subscribe(ctx, options...)
}

// grace is how long a message that was taken may take to become a job after its subscription was told to end.
const grace = 2 * time.Second

// gently gives a handler the grace.
func gently(h pubsub.Handler[pubsub.Raw]) pubsub.Handler[pubsub.Raw] {
	return func(ctx context.Context, m *pubsub.Message[pubsub.Raw]) error {
		longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
		defer cancel()
		defer context.AfterFunc(ctx, func() {
			_ = loop.Sleep(longer, grace)
			cancel()
		})()
		return h(longer, m)
	}
}

// missed tells of messages of a live topic that no jobs were made of.
func (v *service) missed(_ context.Context, g *pubsub.Gap) {
	v.set.log.Warn().Str("subscription", v.what.String()).Time("from", g.From).Time("to", g.To).Uint64("missed", g.Missed).
		Str("reason", g.Reason).Msg("messages may have been missed: no jobs were made of them")
}

func (v *service) arrived() {
	v.note(true, nil)
	v.set.log.Info().Str("subscription", v.what.String()).Msg("messages become jobs")
}

// note says whether it is subscribed, and answers whether it was.
func (v *service) note(here bool, cause error) (was bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	was, v.here, v.cause = v.here, here, cause
	return was
}

// fault says in words why it is away; empty where it is not. Lost: there is no connection for messages.
func (v *service) fault(lost bool) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.cause != nil:
		return v.cause.Error()
	case !v.here:
		return "not subscribed yet"
	case lost:
		return "its connection is lost"
	}
	return ""
}
