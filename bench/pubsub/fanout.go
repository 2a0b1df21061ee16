package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/bench/internal/rig"
)

// fanoutWindow is below what a subscription holds (1,024 messages): with the publisher no further ahead, none has to drop.
const fanoutWindow = 500

// fanoutName is what the subscriber's connections are called.
const fanoutName = "bench-fanout"

// fanoutSpec is the order to the process with many subscriptions.
type fanoutSpec struct {
	Broker rig.Broker `json:"broker"`
	N      int        `json:"n"` // messages
	Subs   int        `json:"subs"`
}

func (c config) fanout(ctx context.Context, _ string, b rig.Broker) ([]rig.Metric, error) {
	subscriber := func(ctx context.Context) (*exec.Cmd, error) {
		return rig.Command(ctx, "fanout", fanoutSpec{Broker: b, N: c.Fanout, Subs: c.Subs})
	}
	return beside(ctx, subscriber, publishSpec{Broker: b, N: c.Fanout, Window: fanoutWindow, Envelope: true})
}

// fanoutStep times from the first message's arrival until every subscription has handled the last.
func fanoutStep(ctx context.Context, spec fanoutSpec) ([]rig.Metric, error) {
	c, err := newCrowd(ctx, spec.Broker, fanoutName)
	if err != nil {
		return nil, err
	}
	defer c.close()
	began := time.Now()
	if err := c.add(ctx, spec.Subs, nil); err != nil {
		return nil, err
	}
	subscribed := time.Since(began)
	start, err := rig.MarkUsage(ctx, spec.Broker)
	if err != nil {
		return nil, err
	}
	took, err := c.follow(ctx, openProgress(), spec.Subs, spec.N, 5*time.Millisecond)
	if err != nil {
		return nil, err
	}
	end, err := rig.MarkUsage(ctx, spec.Broker)
	if err != nil {
		return nil, err
	}
	handled, lost := c.sum(spec.Subs)
	all, subscribing, err := countConnections(ctx, spec.Broker, fanoutName)
	if err != nil {
		return nil, err
	}
	if subscribing != 1 {
		return nil, fmt.Errorf("%d connections subscribe, not 1", subscribing)
	}
	return append([]rig.Metric{
		{Name: "rate", Unit: "deliveries/s", Better: rig.Higher, Value: float64(handled) / took.Seconds()},
		{Name: "lost", Unit: "deliveries", Better: rig.Lower, Value: float64(lost)},
		{Name: "that subscribe", Unit: "connections", Better: rig.Lower, Value: float64(subscribing)},
		{Name: "in all", Unit: "connections", Better: rig.Lower, Value: float64(all)},
		{Name: "subscribing all", Unit: "ms", Better: rig.Lower, Value: subscribed.Seconds() * 1000},
		{Name: "peak memory", Unit: "MiB", Better: rig.Lower, Value: rig.PeakMiB()},
	}, end.Per("delivery", int(handled), start, "")...), nil
}

// countConnections asks CLIENT LIST for those whose name begins with prefix.
func countConnections(ctx context.Context, b rig.Broker, prefix string) (all, subscribing int, err error) {
	rdb := redis.NewClient(&redis.Options{Addr: b.Addr})
	defer rdb.Close()
	list, err := rdb.ClientList(ctx).Result()
	for line := range strings.Lines(list) {
		if !strings.Contains(line, " name="+prefix) {
			continue
		}
		all++
		if !strings.Contains(line, " sub=0 psub=0 ") {
			subscribing++
		}
	}
	return all, subscribing, err
}
