package bus

import (
	"time"
)

// Read is that of the connection, which notes since when it waits.
func (l *link) Read(p []byte) (int, error) {
	l.reading.Store(max(int64(time.Since(l.began)), 1))
	n, err := l.conn.Read(p)
	l.reading.Store(0)
	return n, err
}

// quiet is how long nothing has arrived while the link waited for it; 0 while it is busy with what has.
func (l *link) quiet(now time.Time) time.Duration {
	since := l.reading.Load()
	if since == 0 {
		return 0
	}
	return max(now.Sub(l.began)-time.Duration(since), 0)
}

// read takes what arrives until the connection breaks.
func (l *link) read() error {
	r := reader{from: l}
	var f frame
	for {
		if err := r.read(&f); err != nil {
			return err
		}
		var err error
		switch f.what {
		case aMessage:
			l.message(Channel, f.channel, f.channel, f.payload)
		case aPatternMessage:
			l.message(Pattern, f.pattern, f.channel, f.payload)
		case aShardMessage:
			l.message(Shard, f.channel, f.channel, f.payload)
		case aConfirmation:
			err = l.confirmation(string(f.word), f.channel)
		case aPong:
			err = l.pong()
		case aFault:
			err = l.fault(f.text)
		}
		if err != nil {
			return err
		}
	}
}

// finding is what the reader found last: there are often many messages of one channel.
type finding struct {
	topic    *topic
	moves    uint64
	channel  string // of the last message by a pattern
	channels map[string]string
}

// maxChannels is how many names of channels are kept that patterns brought.
const maxChannels = 4096

// intern answers a channel's name without making a string for each message.
func (f *finding) intern(name []byte) string {
	if f.channel == string(name) {
		return f.channel
	}
	s, known := f.channels[string(name)]
	if !known {
		if len(f.channels) == maxChannels || f.channels == nil {
			f.channels = make(map[string]string)
		}
		s = string(name)
		f.channels[s] = s
	}
	f.channel = s
	return s
}

func (l *link) message(kind Kind, name, channel, payload []byte) {
	l.hub.received.Add(1)
	if !l.unmarked.Load() && l.unmarked.CompareAndSwap(false, true) {
		l.wake.Set()
	}
	t := l.find(kind, name)
	switch {
	case t == nil:
	case kind != Pattern:
		t.deliver(t.name, payload)
	default:
		t.deliver(l.found.intern(channel), payload)
	}
}

// find answers the topic of a name on this link, nil if there is none.
func (l *link) find(kind Kind, name []byte) *topic {
	moves := l.hub.moves.Load()
	if t := l.found.topic; t != nil && l.found.moves == moves && t.kind == kind && t.name == string(name) {
		return t
	}
	l.hub.mu.RLock()
	t := l.hub.topics[kind][string(name)]
	if t != nil && t.link != l {
		t = nil
	}
	l.hub.mu.RUnlock()
	l.found.topic, l.found.moves = t, moves
	return t
}
