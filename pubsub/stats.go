package pubsub

import "sync/atomic"

// Stats are a client's counters since it was made, for metrics.
type Stats struct {
	Published     uint64 // messages that Redis took
	Received      uint64 // messages that arrived for this client's subscriptions, however many those are
	Delivered     uint64 // messages put into subscriptions' buffers, each counted as often as it was
	Dropped       uint64 // messages that full buffers did not take, or that were taken out for newer ones
	Undecodable   uint64 // messages that the codec refused
	Failed        uint64 // handlers of live topics that returned an error or panicked
	Gaps          uint64 // times that messages may have been missed: a connection was lost, or retention dropped what a group had not had
	Subscriptions int    // live ones, open now; members of groups are not among them
	Connections   int    // subscription connections open now; shared by all who share the client that New was given

	Acked, Nacked, Redelivered, DeadLettered uint64 // of durable topics' groups
}

// counts are a client's counters. Those of the reader's goroutine have a line of the cache to themselves.
type counts struct {
	published, undecodable, failed, gaps     atomic.Uint64
	acked, nacked, redelivered, deadLettered atomic.Uint64
	subscriptions                            atomic.Int64
	_                                        [64]byte
	received, delivered, dropped             atomic.Uint64
	_                                        [64]byte
}

// Stats answers the counters.
func (c *Client) Stats() Stats {
	n := &c.counts
	return Stats{
		Published: n.published.Load(), Received: n.received.Load(), Delivered: n.delivered.Load(), Dropped: n.dropped.Load(),
		Undecodable: n.undecodable.Load(), Failed: n.failed.Load(), Gaps: n.gaps.Load(),
		Subscriptions: int(n.subscriptions.Load()), Connections: c.hub.Stats().Connections,
		Acked: n.acked.Load(), Nacked: n.nacked.Load(), Redelivered: n.redelivered.Load(), DeadLettered: n.deadLettered.Load(),
	}
}
