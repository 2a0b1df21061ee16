package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/tidemill/tidemill/internal/devserver"
	"github.com/tidemill/tidemill/pubsub"
)

// Price is what the examples' messages carry.
type Price struct {
	Symbol string `json:"symbol"`
	Cents  int    `json:"cents"`
}

// exampleClient opens a client for an example; programs do so once, at start, by pubsub.Open(ctx, os.Getenv("REDIS_URL")).
func exampleClient() (client *pubsub.Client, end func()) {
	url, _, stop, err := devserver.Lend("", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	client, err = pubsub.Open(context.Background(), url)
	if err != nil {
		log.Fatal(err)
	}
	return client, func() { client.Close(); stop() }
}

func ExampleTopic() {
	client, end := exampleClient()
	defer end()
	ctx := context.Background()

	prices, err := pubsub.NewTopic[Price](client, "prices.TIDE")
	if err != nil {
		log.Fatal(err)
	}
	s, err := prices.Subscribe(ctx) // from here on nothing is missed in silence
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	for _, cents := range []int{4200, 4150, 4225} {
		if _, err := prices.Publish(ctx, Price{"TIDE", cents}); err != nil {
			log.Fatal(err)
		}
	}
	for m, err := range s.All(ctx) {
		var gap *pubsub.Gap
		switch {
		case errors.As(err, &gap):
			fmt.Println("prices may be missing:", gap.Reason)
			continue
		case err != nil:
			log.Fatal(err)
		}
		fmt.Println(m.Topic, m.Data.Cents)
		if m.Data.Cents == 4225 {
			break
		}
	}
	// Output:
	// prices.TIDE 4200
	// prices.TIDE 4150
	// prices.TIDE 4225
}

func ExamplePattern() {
	client, end := exampleClient()
	defer end()
	ctx := context.Background()

	all, err := pubsub.NewPattern[Price](client, "prices.*")
	if err != nil {
		log.Fatal(err)
	}
	s, err := all.Subscribe(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	for _, symbol := range []string{"TIDE", "MILL"} {
		prices, err := pubsub.NewTopic[Price](client, "prices."+symbol)
		if err != nil {
			log.Fatal(err)
		}
		if _, err := prices.Publish(ctx, Price{symbol, 100}, pubsub.Meta("source", "example")); err != nil {
			log.Fatal(err)
		}
		m, err := s.Next(ctx)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(m.Topic, m.Data.Cents, m.Meta["source"])
	}
	// Output:
	// prices.TIDE 100 example
	// prices.MILL 100 example
}

// A consumer that wants what is new has a small buffer and drops the oldest.
func ExampleWhenFull() {
	client, end := exampleClient()
	defer end()
	ctx := context.Background()
	prices, err := pubsub.NewTopic[Price](client, "prices.TIDE")
	if err != nil {
		log.Fatal(err)
	}
	slow, err := prices.Subscribe(ctx, pubsub.Buffer(1), pubsub.WhenFull(pubsub.DropOldest))
	if err != nil {
		log.Fatal(err)
	}
	fast, err := prices.Subscribe(ctx) // another one, which is not held up
	if err != nil {
		log.Fatal(err)
	}
	for cents := range 4 {
		if _, err := prices.Publish(ctx, Price{"TIDE", cents}); err != nil {
			log.Fatal(err)
		}
		if _, err := fast.Next(ctx); err != nil {
			log.Fatal(err)
		}
	}
	_, err = slow.Next(ctx)
	fmt.Println(err)
	m, err := slow.Next(ctx)
	fmt.Println(m.Data.Cents, err)
	// Output:
	// pubsub: 3 messages missed (slow consumer)
	// 3 <nil>
}

func ExampleSubscription_Handle() {
	client, end := exampleClient()
	defer end()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	prices, err := pubsub.NewTopic[Price](client, "prices.TIDE")
	if err != nil {
		log.Fatal(err)
	}
	s, err := prices.Subscribe(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	if _, err := prices.Publish(ctx, Price{"TIDE", 4200}); err != nil {
		log.Fatal(err)
	}
	handler := func(ctx context.Context, m *pubsub.Message[Price]) error {
		fmt.Println("now at", m.Data.Cents)
		stop() // a program of yours goes on until it is told to end
		return nil
	}
	err = s.Handle(ctx, handler, pubsub.Concurrency(8), pubsub.OnGap(func(ctx context.Context, g *pubsub.Gap) {
		fmt.Println("read the prices anew:", g.Reason)
	}))
	fmt.Println(err)
	// Output:
	// now at 4200
	// <nil>
}

// What is kept can be read again, without a group.
func ExampleDurable_Replay() {
	client, end := exampleClient()
	defer end()
	ctx := context.Background()
	orders, err := pubsub.NewDurable[Price](client, "orders")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := orders.PublishMany(ctx, []Price{{"TIDE", 1}, {"MILL", 2}}); err != nil {
		log.Fatal(err)
	}
	for m, err := range orders.Replay(ctx, pubsub.FromTime(time.Now().Add(-time.Hour))) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(m.Data)
	}
	// Output:
	// {TIDE 1}
	// {MILL 2}
}

// The past, and then what comes, as one sequence without a hole.
func ExampleDurable_Follow() {
	client, end := exampleClient()
	defer end()
	ctx := context.Background()
	orders, err := pubsub.NewDurable[Price](client, "orders")
	if err != nil {
		log.Fatal(err)
	}
	for cents := range 2 {
		if _, err := orders.Publish(ctx, Price{"TIDE", cents}); err != nil {
			log.Fatal(err)
		}
	}
	for m, err := range orders.Follow(ctx, pubsub.FromStart) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(m.Data.Cents)
		if m.Data.Cents == 2 {
			break
		}
		if m.Data.Cents == 1 {
			if _, err := orders.Publish(ctx, Price{"TIDE", 2}); err != nil {
				log.Fatal(err)
			}
		}
	}
	// Output:
	// 0
	// 1
	// 2
}

// What a group gave up is kept with the reason, and can be sent back to it.
func ExampleStreams() {
	client, end := exampleClient()
	defer end()
	ctx := context.Background()
	orders, err := pubsub.NewDurable[Price](client, "orders")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := orders.Publish(ctx, Price{"TIDE", -1}); err != nil {
		log.Fatal(err)
	}
	billing, err := orders.Subscribe(ctx, "billing")
	if err != nil {
		log.Fatal(err)
	}
	m, err := billing.Next(ctx)
	if err != nil {
		log.Fatal(err)
	}
	if err := m.Nack(ctx, pubsub.Dead(errors.New("less than nothing"))); err != nil {
		log.Fatal(err)
	}
	billing.Close() // Redis is told of what was done within a moment, and before Close returns
	for dead, err := range client.Streams().Dead(ctx, "orders", "billing") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: %s\n", dead.Data, dead.Error)
	}
	n, err := client.Streams().Redrive(ctx, "orders", "billing") // after a fix
	fmt.Println(n, err)
	// Output:
	// {"symbol":"TIDE","cents":-1}: less than nothing
	// 1 <nil>
}
