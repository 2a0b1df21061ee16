// Package bus is messages over Redis, as bytes: Pub/Sub and the streams of durable topics. Package pubsub makes typed topics
// of it; package queue uses it for hints between its own processes, which save waiting: who listens re-reads the truth each
// time it is told of a gap.
//
// A Hub keeps a process's subscriptions alive over one connection, in a Cluster one to each server that is needed, and tells
// of each time in which messages may have been missed. A topic is a name that Redis is asked for, a Sub one receiver of it
// (topic.go, sub.go). A topic without a connection is placed (place.go) on a link (link.go), whose reader takes what arrives
// (receive.go, reader.go, replies.go) and whose writer sends what is to be said (compose.go, command.go).
//
// Publish and PublishAll send hints, an Outbox does so in the background, and Send publishes a batch of which each message
// has an outcome of its own (batch.go). Streams are durable topics.
package bus

// Keys of durable topics. "tm" stands for the namespace; the keys of one topic share the hash tag {topic}, so that a script
// touches one Cluster slot. Everything else that this package does is pub/sub, which has no keys. TestStreamKeys holds this
// table against what the scripts write.
//
//	tm:topic:{t}:stream        STREAM  the messages: field m = envelope (internal/wire), g = the one group it is for, of a redriven
//	                                   one. An entry of another program has its data in field data
//	tm:topic:{t}:about         HASH    keep = retention, beat:<group> = time (ms) of a member's last heartbeat,
//	                                   until:<group> = no member is held for dead before (ms), missed:<group> = position behind
//	                                   which retention dropped messages that the group had not had
//	tm:topic:{t}:members:<g>   ZSET    session by expiry (ms); -1 = held for dead, -2 = left, both until others have what it had
//	tm:topic:{t}:crashed:<g>   HASH    position of a pending message -> how many members died while they had it
//	tm:topic:{t}:given-up:<g>  STREAM  messages that the group gave up: m = envelope, p = position, a = attempts, e = error
//	tm:topics                  SET     names of durable topics
//
// Bounds: a member's pending messages by its window; crashed by what is pending; given-up by 90 days; members and about by
// the members and groups there are; the stream by the topic's retention.
//
// Channels: a topic's messages travel on the channel of its name, hints to members on tm:topic:{t}:hints: n = something new,
// l = a member left.
