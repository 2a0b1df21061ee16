package main

import (
	"context"
	"log"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tidemill/tidemill/pubsub"
)

// Price is what the topics carry. Each symbol has its own, prices.<symbol>.
type Price struct {
	Symbol string `json:"symbol"`
	Cents  int64  `json:"cents"`
}

var symbols = []string{"TIDE", "MILL", "REED", "EBBS", "FLOW", "WAVE", "RILL", "POND"}

// everything is the pattern of all topics.
const everything = "prices.*"

func topicOf(client *pubsub.Client, symbol string) (*pubsub.Topic[Price], error) {
	return pubsub.NewTopic[Price](client, "prices."+symbol)
}

// feed publishes a random walk of each symbol until ctx ends. What the symbols publish at the same moment goes to Redis
// in one round trip, by itself.
func feed(ctx context.Context, services *errgroup.Group, client *pubsub.Client, each time.Duration) error {
	for _, symbol := range symbols {
		topic, err := topicOf(client, symbol)
		if err != nil {
			return err
		}
		services.Go(func() error { walk(ctx, topic, symbol, each); return nil })
	}
	return nil
}

func walk(ctx context.Context, topic *pubsub.Topic[Price], symbol string, each time.Duration) {
	tick := time.NewTicker(each)
	defer tick.Stop()
	cents := 2000 + rand.Int64N(8000)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		cents = max(1, cents+rand.Int64N(101)-50)
		// A price that could not be published is worth nothing by the time that the next one can.
		if _, err := topic.Publish(ctx, Price{Symbol: symbol, Cents: cents}); err != nil && ctx.Err() == nil {
			log.Printf("%s was not published: %v", symbol, err)
		}
	}
}
