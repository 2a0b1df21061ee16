package pubsub

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/tidemill/tidemill/internal/bus"
	"github.com/tidemill/tidemill/internal/conn"
)

// groupKey is what subscriptions have in common that share their messages.
type groupKey struct {
	kind  bus.Kind
	name  string
	data  reflect.Type
	codec any // nil for Raw
}

// keyOf makes one. Codecs that cannot be compared share with nobody.
func keyOf[T any](kind bus.Kind, name string, codec Codec) groupKey {
	key := groupKey{kind: kind, name: name, data: reflect.TypeFor[T]()}
	switch {
	case isRaw[T]():
	case reflect.ValueOf(codec).Comparable():
		key.codec = codec
	default:
		key.codec = new(byte)
	}
	return key
}

// group is the subscriptions of a process to one channel or pattern that get the same messages: for the hub it is one
// receiver. The hub calls its Message, Missed and Ended from the goroutine that reads the connection.
type group[T any] struct {
	client *Client
	key    groupKey
	codec  Codec

	asked   chan struct{} // closed when Redis has answered; then sub or err is set
	sub     *bus.Sub
	err     error
	abandon context.CancelFunc // ends the asking

	relay atomic.Pointer[relay[T]] // of a large group, from then on

	mu   sync.Mutex
	subs []*Subscription[T]
	over bool // it takes no more subscriptions
}

// subscribe adds a subscription to its group, which is made where there is none, and waits until Redis has confirmed.
func subscribe[T any](ctx context.Context, c *Client, kind bus.Kind, name string, codec Codec,
	options []SubscribeOption) (*Subscription[T], error) {
	o := subscribeOptions{buffer: DefaultBuffer}
	if err := gather(&o, options); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	s := &Subscription[T]{wake: make(chan struct{}, 1)}
	s.buf.limit, s.buf.policy = o.buffer, o.policy
	if err := join(c, keyOf[T](kind, name, codec), codec, s); err != nil {
		return nil, err
	}
	if err := s.group.confirmed(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// confirmed waits until Redis has confirmed the group's subscription, anew where it is lost just now.
func (g *group[T]) confirmed(ctx context.Context) error {
	name, err := g.key.name, error(nil)
	select {
	case <-g.asked:
		if err = g.err; err == nil {
			err = g.again(ctx)
		}
	case <-ctx.Done():
		return fmt.Errorf("subscribe to %q: %w", name, g.client.hub.Unconfirmed(ctx))
	}
	if err != nil && (g.client.closed() != nil || conn.Closed(err)) {
		return fmt.Errorf("subscribe to %q: %w", name, ErrClosed)
	}
	return outward(err)
}

// again is confirmed for a group that was before. The end of the client ends it.
func (g *group[T]) again(ctx context.Context) error {
	if g.sub.Stands() {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(g.client.life, cancel)()
	return g.sub.Confirmed(ctx)
}

// join puts a subscription into the group of its key.
func join[T any](c *Client, key groupKey, codec Codec, s *Subscription[T]) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.closed(); err != nil {
		return err
	}
	g, _ := c.groups[key].(*group[T])
	if g == nil || !g.add(s) {
		ctx, cancel := context.WithCancel(c.life)
		g = &group[T]{client: c, key: key, codec: codec, asked: make(chan struct{}), abandon: cancel}
		g.add(s)
		c.groups[key] = g
		go g.ask(ctx)
	}
	c.counts.subscriptions.Add(1)
	return nil
}

// add takes a subscription in, unless the group is over.
func (g *group[T]) add(s *Subscription[T]) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over {
		return false
	}
	s.group, s.place = g, len(g.subs)
	g.subs = append(g.subs, s)
	if len(g.subs) == relayFrom && g.relay.Load() == nil {
		g.relay.Store(newRelay(g))
	}
	return true
}

// ask subscribes the group at the hub.
func (g *group[T]) ask(ctx context.Context) {
	defer close(g.asked)
	defer g.abandon()
	if g.sub, g.err = g.client.hub.Subscribe(ctx, g.key.kind, g.key.name, g); g.err != nil {
		g.retire()
		g.rest()
	}
}

// retire makes the next subscription begin a new group.
func (g *group[T]) retire() {
	g.client.mu.Lock()
	defer g.client.mu.Unlock()
	if g.client.groups[g.key] == any(g) {
		delete(g.client.groups, g.key)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.over = true
}

// remove takes a subscription out, and the group with the last one. It waits until the hub has let go, so it is not for the
// goroutine that reads.
func (g *group[T]) remove(s *Subscription[T]) {
	g.mu.Lock()
	if s.place >= len(g.subs) || g.subs[s.place] != s {
		g.mu.Unlock()
		return
	}
	g.client.counts.subscriptions.Add(-1)
	last := g.subs[len(g.subs)-1]
	g.subs[s.place], last.place = last, s.place
	g.subs[len(g.subs)-1] = nil
	g.subs = g.subs[:len(g.subs)-1]
	left := len(g.subs)
	g.mu.Unlock()
	if left == 0 {
		g.close()
	}
}

// close lets the hub go, if no subscription has come meanwhile.
func (g *group[T]) close() {
	g.client.mu.Lock()
	g.mu.Lock()
	done := len(g.subs) == 0 && !g.over
	g.over = g.over || done
	g.mu.Unlock()
	if done && g.client.groups[g.key] == any(g) {
		delete(g.client.groups, g.key)
	}
	g.client.mu.Unlock()
	if !done {
		return
	}
	g.abandon()
	<-g.asked
	if g.sub != nil {
		g.sub.Close()
	}
	g.rest()
}

// rest ends the relay of a group that gets nothing any more.
func (g *group[T]) rest() {
	if r := g.relay.Load(); r != nil {
		r.stop()
	}
}

// shut ends every subscription, as the client does.
func (g *group[T]) shut() {
	for _, s := range g.list() {
		s.Close()
	}
}

func (g *group[T]) list() []*Subscription[T] {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]*Subscription[T](nil), g.subs...)
}

// Message gives a message to every subscription. It never waits for one.
func (g *group[T]) Message(channel string, payload []byte) {
	f := &frame[T]{payload: payload}
	f.m.Topic = channel
	g.client.counts.received.Add(1)
	g.pass(item[T]{frame: f})
}

// Missed tells every subscription of a gap.
func (g *group[T]) Missed(b bus.Gap) {
	g.client.counts.gaps.Add(1)
	g.pass(item[T]{gap: &Gap{From: b.From, To: b.To, Reason: b.Reason}})
}

// Ended ends every subscription: Redis refuses the channel for good, or the hub was closed.
func (g *group[T]) Ended(err error) {
	if err == nil {
		err = ErrClosed
	}
	g.retire()
	err = fmt.Errorf("subscription to %q: %w", g.key.name, outward(err))
	if r := g.relay.Load(); r != nil {
		r.put(item[T]{end: err})
		return
	}
	g.finish(err)
}

// pass hands an item to the subscriptions, or to the relay that does.
func (g *group[T]) pass(i item[T]) {
	if r := g.relay.Load(); r != nil {
		r.put(i)
		return
	}
	one := [1]item[T]{i}
	g.deliver(one[:])
}

// deliver puts items into all buffers.
func (g *group[T]) deliver(items []item[T]) {
	var at moment
	dropped, delivered := 0, 0
	g.mu.Lock()
	for _, s := range g.subs {
		in, out, slow := s.put(items, &at)
		delivered, dropped = delivered+in, dropped+out
		if slow {
			go g.remove(s)
		}
	}
	g.mu.Unlock()
	n := &g.client.counts
	n.delivered.Add(uint64(delivered))
	if dropped > 0 {
		n.dropped.Add(uint64(dropped))
	}
}

// finish ends every subscription.
func (g *group[T]) finish(err error) {
	for _, s := range g.list() {
		s.finish(err, false)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.client.counts.subscriptions.Add(int64(-len(g.subs)))
	g.subs = nil
}
