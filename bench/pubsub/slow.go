package main

import (
	"context"
	"os/exec"
	"time"

	"github.com/tidemill/tidemill/bench/internal/rig"
	"github.com/tidemill/tidemill/pubsub"
)

// The columns of the measure.
const (
	slowWithout = "100 fast"
	slowWith    = "100 fast + 1 slow"
)

// fastSubs are the fast consumers, slowPause is what the slow one takes for a message.
const (
	fastSubs  = 100
	slowPause = time.Millisecond
)

// slowSpec is the order to the process with fast consumers and perhaps a slow one.
type slowSpec struct {
	Broker rig.Broker `json:"broker"`
	N      int        `json:"n"` // messages
	Slow   bool       `json:"slow"`
}

func (c config) slow(ctx context.Context, column string, b rig.Broker) ([]rig.Metric, error) {
	subscriber := func(ctx context.Context) (*exec.Cmd, error) {
		return rig.Command(ctx, "slow", slowSpec{Broker: b, N: c.Slow, Slow: column == slowWith})
	}
	return beside(ctx, subscriber, publishSpec{Broker: b, N: c.Slow, Window: fanoutWindow, Envelope: true})
}

// slowStep has the publisher follow the fast ones. The slow one drops its oldest.
func slowStep(ctx context.Context, spec slowSpec) ([]rig.Metric, error) {
	c, err := newCrowd(ctx, spec.Broker, "bench-slow")
	if err != nil {
		return nil, err
	}
	defer c.close()
	if err := c.add(ctx, fastSubs, nil); err != nil {
		return nil, err
	}
	if spec.Slow {
		if err := c.add(ctx, 1, func() { time.Sleep(slowPause) }, pubsub.WhenFull(pubsub.DropOldest)); err != nil {
			return nil, err
		}
	}
	took, err := c.follow(ctx, openProgress(), fastSubs, spec.N, time.Millisecond)
	if err != nil {
		return nil, err
	}
	handled, lost := c.sum(fastSubs)
	metrics := []rig.Metric{
		{Name: "the fast ones' rate", Unit: "deliveries/s", Better: rig.Higher, Value: float64(handled) / took.Seconds()},
		{Name: "the fast ones lost", Unit: "deliveries", Better: rig.Lower, Value: float64(lost)},
		{Name: "peak memory", Unit: "MiB", Better: rig.Lower, Value: rig.PeakMiB()},
	}
	if spec.Slow {
		metrics = append(metrics,
			rig.Metric{Name: "the slow one handled", Unit: "messages", Better: rig.Higher, Value: float64(c.members[fastSubs].handled.Load())},
			rig.Metric{Name: "the slow one lost", Unit: "messages", Better: rig.Lower, Value: float64(c.members[fastSubs].sub.Dropped())})
	}
	return metrics, nil
}
