package pubsub

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidemill/tidemill/internal/wire"
)

// frame is a message as it came, shared by all subscriptions of a group. The first consumer to want it decodes it.
type frame[T any] struct {
	m       Message[T]
	payload []byte // nil once decoded
	err     error
	came    time.Time // where a subscription whose policy is Block wants to know
	decoded atomic.Bool
	mu      sync.Mutex
}

// message decodes the frame unless that was done.
func (f *frame[T]) message(g *group[T]) (*Message[T], error) {
	if !f.decoded.Load() {
		f.decode(g)
	}
	if f.err != nil {
		return nil, f.err
	}
	return &f.m, nil
}

func (f *frame[T]) decode(g *group[T]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.decoded.Load() {
		return
	}
	envelope := wire.DecodeMessage(f.payload)
	f.m.ID, f.m.Meta = envelope.ID, envelope.Meta
	if envelope.Time != 0 {
		f.m.Time = time.UnixMicro(envelope.Time)
	}
	if err := decodeSafely(g.codec, envelope.Data, &f.m.Data); err != nil {
		f.err = &DecodeError{Topic: f.m.Topic, Data: envelope.Data, Err: err}
		g.client.counts.undecodable.Add(1)
	}
	f.payload = nil // the connection's buffer behind it need not live as long as the message
	f.decoded.Store(true)
}

// decodeSafely makes a codec's panic an error: it is one message's fault, and every subscription would meet it.
func decodeSafely[T any](codec Codec, data []byte, to *T) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the codec panicked: %v", p)
		}
	}()
	return decodeData(codec, data, to)
}
