package bus

import (
	"strconv"
	"time"
)

// Kind is what a subscription's name stands for.
type Kind int8

const (
	Channel Kind = iota // one channel
	Pattern             // all channels whose names match
	Shard               // one channel of a shard (Redis 7.0)

	kinds = 3
)

// verbs are the commands that subscribe and end that; Redis confirms each name by the same word.
var verbs = [kinds][2]struct{ command, reply string }{
	Channel: {{"UNSUBSCRIBE", "unsubscribe"}, {"SUBSCRIBE", "subscribe"}},
	Pattern: {{"PUNSUBSCRIBE", "punsubscribe"}, {"PSUBSCRIBE", "psubscribe"}},
	Shard:   {{"SUNSUBSCRIBE", "sunsubscribe"}, {"SSUBSCRIBE", "ssubscribe"}},
}

const (
	// maxNames and maxCommand bound one command: Redis does nothing else while it carries it out.
	maxNames   = 500
	maxCommand = 64 << 10
	// maxBatch bounds what is written at once.
	maxBatch = 256 << 10
)

// command is one that was sent and not answered yet, or not for all its names.
type command struct {
	ping   bool
	on     bool // subscribes
	kind   Kind
	topics []*topic
	epochs []uint32 // of the topics when it was sent: it says nothing about a topic that was sent for again
	done   int      // names that were answered
	at     time.Time
}

// current tells whether the i-th topic is still as the command left it.
func (c *command) current(l *link, i int) bool {
	t := c.topics[i]
	return t.link == l && !t.deleted && t.epoch == c.epochs[i]
}

var ping = []byte("*1\r\n$4\r\nPING\r\n")

// appendCommand encodes a command.
func appendCommand(b []byte, c *command) []byte {
	if c.ping {
		return append(b, ping...)
	}
	b = append(b, '*')
	b = strconv.AppendInt(b, int64(1+len(c.topics)), 10)
	b = append(b, "\r\n"...)
	b = appendBulk(b, verbs[c.kind][toInt(c.on)].command)
	for _, t := range c.topics {
		b = appendBulk(b, t.name)
	}
	return b
}

func appendBulk(b []byte, s string) []byte {
	b = append(b, '$')
	b = strconv.AppendInt(b, int64(len(s)), 10)
	b = append(b, "\r\n"...)
	b = append(b, s...)
	return append(b, "\r\n"...)
}

func toInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
