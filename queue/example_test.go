package queue_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/queue"
)

// Resize is what the examples' jobs carry.
type Resize struct {
	URL   string `json:"url"`
	Width int    `json:"width"`
}

func (Resize) Kind() string { return "image.resize" }

// exampleClient opens a client for an example; programs do so once, at start.
func exampleClient() *queue.Client {
	client, err := queue.Open(context.Background(), exampleURL())
	if err != nil {
		log.Fatal(err)
	}
	return client
}

func ExampleOpen() {
	client, err := queue.Open(context.Background(), exampleURL(), queue.Config{Namespace: "shop"})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	fmt.Println(client.Ping(context.Background()), client.Namespace())
	// Output: <nil> shop
}

func ExampleNew() {
	options, err := redis.ParseURL(exampleURL())
	if err != nil {
		log.Fatal(err)
	}
	rdb := redis.NewClient(options)
	defer rdb.Close() // a client passed in stays the caller's to close
	client, err := queue.New(rdb)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	fmt.Println(client.Ping(context.Background()))
	// Output: <nil>
}

// plainJSON is encoding/json, with nothing between. Its name is "json" too, so that either side may be the default codec.
type plainJSON struct{}

func (plainJSON) Name() string                             { return "json" }
func (plainJSON) Marshal(args any) ([]byte, error)         { return json.Marshal(args) }
func (plainJSON) Unmarshal(payload []byte, args any) error { return json.Unmarshal(payload, args) }

// A codec of your own. It also serves topics: pubsub.Config.Codec, pubsub.WithCodec.
func ExampleCodec() {
	client, err := queue.Open(context.Background(), exampleURL(), queue.Config{Codec: plainJSON{}})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	_, err = client.Enqueue(context.Background(), Resize{"a.png", 64})
	fmt.Println(err)
	// Output: <nil>
}

func ExampleClient_Enqueue() {
	client, ctx := exampleClient(), context.Background()
	defer client.Close()

	_, err := client.Enqueue(ctx, Resize{"a.png", 64}, queue.Queue("images"), queue.ID("a.png at 64"), queue.In(10*time.Minute),
		queue.Priority(9), queue.Timeout(time.Minute))
	fmt.Println(err)

	var duplicate *queue.DuplicateError
	id, err := client.Enqueue(ctx, Resize{"a.png", 64}, queue.Queue("images"), queue.ID("a.png at 64"))
	fmt.Println(errors.As(err, &duplicate), duplicate.ID == id)

	job, err := client.Get(ctx, "images", "a.png at 64")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(job.State, job.Kind, string(job.Payload))
	// Output:
	// <nil>
	// true true
	// scheduled image.resize {"url":"a.png","width":64}
}

func ExampleClient_Enqueue_raw() {
	client, ctx := exampleClient(), context.Background()
	defer client.Close()
	_, err := client.Enqueue(ctx, queue.Raw{Name: "thumbnail", Payload: []byte("any bytes")}, queue.Queue("raw"))
	fmt.Println(err)
	// Output: <nil>
}

func ExampleClient_EnqueueMany() {
	client, ctx := exampleClient(), context.Background()
	defer client.Close()

	batch := queue.Items([]Resize{{"a.png", 64}, {"b.png", 64}, {"c.png", 64}}, queue.Queue("batch"))
	batch[1].Options = []queue.Option{queue.Queue("batch"), queue.Priority(12)}

	results, err := client.EnqueueMany(ctx, batch, queue.MaxAttempts(3))
	fmt.Println(err)
	for i, result := range results {
		fmt.Println(i, result.Err)
	}
	// Output:
	// 1 of 3 jobs were not created, the first because: invalid priority: 12; allowed: 0 to 9, 9 first
	// 0 <nil>
	// 1 invalid priority: 12; allowed: 0 to 9, 9 first
	// 2 <nil>
}

// A user and the job that welcomes them: both are written, or neither.
func ExampleClient_EnqueueTx() {
	client, ctx := exampleClient(), context.Background()
	defer client.Close()

	pipe := client.Redis().TxPipeline() // or one of the program's own client
	pipe.HSet(ctx, "user:{tx}:1", "name", "ann")
	pending, err := client.EnqueueTx(ctx, pipe, queue.Raw{Name: "welcome", Payload: []byte(`{"user":1}`)}, queue.Queue("tx"))
	if err != nil {
		log.Fatal(err)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(pending.Result())
	// Output: <nil>
}

// Sell an item only while one is left, and enqueue its shipping together with the sale.
func ExampleClient_Watch() {
	client, ctx := exampleClient(), context.Background()
	defer client.Close()
	client.Redis().Set(ctx, "stock:{shipping}", 3, 0)

	err := client.Watch(ctx, func(tx *redis.Tx) error {
		left, err := tx.Get(ctx, "stock:{shipping}").Int()
		if err != nil {
			return err
		}
		if left == 0 {
			return errors.New("sold out")
		}
		_, err = tx.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
			pipe.Decr(ctx, "stock:{shipping}")
			_, err := client.EnqueueTx(ctx, pipe, queue.Raw{Name: "ship"}, queue.Queue("shipping"))
			return err
		})
		return err
	}, "stock:{shipping}")

	fmt.Println(err, client.Redis().Get(ctx, "stock:{shipping}").Val())
	// Output: <nil> 2
}

// The jobs of a queue that failed for good of a certain error, and then all of them tried again.
func ExampleClient_List() {
	ctx := context.Background()
	client, err := queue.Open(ctx, exampleURL())
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	failed := queue.ListOptions{State: queue.DeadState, Kind: "image.*", Error: "connection refused"}
	for job, err := range client.List(ctx, "images", failed) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(job.ID, job.Kind, job.Reason)
	}
	done, err := client.RedriveMany(ctx, "images", queue.Bulk{ListOptions: failed})
	fmt.Println(done.Done, "of", done.Matched, err)
	// Output: 0 of 0 <nil>
}
