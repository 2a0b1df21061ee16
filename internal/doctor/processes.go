package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/wire"
)

// goneFor is how long a worker process has not been heard of when it counts as gone; live workers drop it after 5 minutes.
const goneFor = 10 * time.Minute

// processes looks at the listing of worker processes, and at what they were told.
func (l *landscape) processes(ctx context.Context) error {
	b := l.d.broker
	workers, err := b.Workers(ctx)
	if err != nil {
		return err
	}
	now, _, err := b.Lives(ctx, nil)
	if err != nil {
		return err
	}
	for instance, text := range workers {
		var line wire.Announcement
		if json.Unmarshal([]byte(text), &line) == nil && now.Sub(line.Seen) < goneFor {
			continue
		}
		alive, err := l.lives(ctx, &line)
		if err != nil {
			return err
		}
		if !alive {
			i := named(instance)
			i.text = fmt.Sprintf("%s (%s:%d, last heard of %s)", instance, line.Host, line.PID, line.Seen.UTC().Format(time.RFC3339))
			l.bags.add(goneWorkers, i)
		}
	}
	orders, err := b.Orders(ctx)
	for _, instance := range orders {
		if _, known := workers[instance]; known {
			continue
		}
		order, level, err := b.Ordered(ctx, instance)
		if err != nil {
			return err
		}
		if age(now, order) > goneFor || age(now, level) > goneFor {
			l.bags.add(goneOrders, named(instance))
		}
	}
	return err
}

// age is how long ago an order was given; 0 where there is none.
func age(now time.Time, order string) time.Duration {
	if order == "" {
		return 0
	}
	_, at, _ := strings.Cut(order, " ")
	ms, _ := strconv.ParseInt(at, 10, 64)
	return now.Sub(time.UnixMilli(ms))
}

// lives tells whether a session of a worker process is alive.
func (l *landscape) lives(ctx context.Context, line *wire.Announcement) (bool, error) {
	var sessions []broker.Serving
	for name, session := range line.Sessions {
		if q, err := l.d.space.Queue(name); err == nil {
			sessions = append(sessions, broker.Serving{Queue: q, Session: session})
		}
	}
	now, lives, err := l.d.broker.Lives(ctx, sessions)
	return slices.ContainsFunc(lives, func(life broker.Life) bool { return life.Expiry > now.UnixMilli() }), err
}
