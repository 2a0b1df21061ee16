// Package pubsub sends messages to whoever listens: typed topics on Redis.
//
//	client, err := pubsub.Open(ctx, os.Getenv("REDIS_URL")) // or pubsub.New(queueClient.Redis())
//	...
//	prices, err := pubsub.NewTopic[Price](client, "prices.AAPL")
//	...
//	id, err := prices.Publish(ctx, Price{Cents: 18125})
//
//	sub, err := prices.Subscribe(ctx)
//	...
//	defer sub.Close()
//	for m, err := range sub.All(ctx) {
//		...
//	}
//
// # Live topics
//
// The messages of a [Topic] reach those who are subscribed now, by Redis Pub/Sub; a [Pattern] subscribes to all topics
// whose names match. All subscriptions of a process share one supervised connection (in a Cluster, sharded topics one for
// each shard), however many there are, and a message is decoded once for all of them: what a subscriber gets is shared,
// and must not be changed.
//
// A connection that is lost is made again, within a second of Redis being back. What may have been missed is told
// in-band: All, Next and C bring a [*Gap] as an error in the place where messages may be missing, [OnGap] is called by
// Handle. Whoever keeps something up to date by messages reads it anew there.
//
// Nobody waits for a slow consumer: each subscription has a buffer ([Buffer]), and a policy for when it is full
// ([WhenFull]): [DropOldest], [DropNewest], [Block] or [CloseWhenSlow]. What was dropped is counted ([Subscription.Dropped],
// [Stats]), and told as a Gap in its place too.
//
// # Durable topics
//
// A [Durable] topic keeps its messages in a Redis stream: groups of consumers take each message at least once, and anyone
// may read the past again. Live subscribers of the same name get them too.
//
// # Messages
//
// A message has an id, a time, and metadata if the publisher gave some; docs/protocol.md has the bytes. What a program
// without Tidemill publishes to the channel of a topic is read as well, without these.
package pubsub
