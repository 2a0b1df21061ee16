package matrix

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/pubsub"
)

// note is a message of the durable topic "notes".
type note struct{ N, MS int }

// consume is the main of a process that is a member of a group: it tells on stdout what it gets and what it has done.
func consume(ctx context.Context, s spec) error {
	client, err := pubsub.Open(ctx, s.URL, pubsub.Config{Logger: zerolog.New(os.Stdout).Level(zerolog.InfoLevel)})
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	topic, err := pubsub.NewDurable[note](client, "notes")
	if err != nil {
		return err
	}
	m, err := topic.Subscribe(ctx, s.Group, pubsub.MemberTTL(s.TTL), pubsub.Backoff(10*time.Millisecond, time.Second))
	if err != nil {
		return err
	}
	defer m.Close()
	fmt.Println("up", rss())
	return m.Handle(ctx, func(_ context.Context, msg *pubsub.Message[note]) error {
		fmt.Println("got", msg.Data.N, time.Now().UnixNano())
		<-time.After(time.Duration(msg.Data.MS) * time.Millisecond)
		fmt.Println("did", msg.Data.N, time.Now().UnixNano())
		return nil
	}, pubsub.Concurrency(s.Concurrency))
}
