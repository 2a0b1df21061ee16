package pitfalls

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/pubsub"
)

var fireFor = flag.Duration("fire", 10*time.Second, "how long TestPitfall17PubSubGaps breaks the connection, every second")

// range17 is a server with publishers, and a client that listens through a proxy.
type range17 struct {
	*testing.T
	srv      *redisserver.Server
	rdb      *redis.Client
	proxy    *redistest.Proxy
	listener *pubsub.Client
	topics   []*pubsub.Topic[shot] // of the listener
	barrage  *barrage
}

func newRange(t *testing.T, publishers int, options ...redistest.Option) *range17 {
	t.Helper()
	r := &range17{T: t, srv: redistest.Server(t, options...)}
	r.rdb = redistest.Client(t, r.srv)
	r.proxy = redistest.NewProxy(t, r.srv.Addr())
	r.listener = r.open("redis://" + r.proxy.Addr())
	r.topics = r.make(r.listener, publishers)
	return r
}

func (r *range17) open(url string) *pubsub.Client {
	r.Helper()
	c, err := pubsub.Open(r.Context(), url)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = c.Close() })
	return c
}

// make makes topics fire.0, fire.1 and so on.
func (r *range17) make(c *pubsub.Client, n int, options ...pubsub.TopicOption) []*pubsub.Topic[shot] {
	r.Helper()
	topics := make([]*pubsub.Topic[shot], n)
	for i := range topics {
		topic, err := pubsub.NewTopic[shot](c, fmt.Sprintf("fire.%d", i), options...)
		if err != nil {
			r.Fatal(err)
		}
		topics[i] = topic
	}
	return topics
}

// shoot starts publishers that no fault touches.
func (r *range17) shoot() {
	r.barrage = shoot(r.T, r.make(r.open(r.srv.URL()), len(r.topics)))
}

// subscriptions are the addresses of the connections that are subscribed.
func subscriptions(t *testing.T, rdb *redis.Client) (ids []string) {
	t.Helper()
	list, err := rdb.Do(t.Context(), "CLIENT", "LIST", "TYPE", "pubsub").Text()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(list) {
		id, _, _ := strings.Cut(strings.TrimPrefix(line, "id="), " ")
		ids = append(ids, id)
	}
	return ids
}

// connected waits until the listener's connection stands.
func (r *range17) connected() {
	r.Helper()
	redistest.WaitFor(r, slow, func() bool { return r.listener.Stats().Connections == 1 }, "the subscription connection")
}

// silent holds that no connection of the subscriptions is left.
func (r *range17) silent() {
	r.Helper()
	redistest.WaitFor(r, slow, func() bool { return r.listener.Stats().Connections == 0 && len(subscriptions(r.T, r.rdb)) == 0 },
		"the subscription connection to go")
	if n := r.listener.Stats().Subscriptions; n != 0 {
		r.Errorf("%d subscriptions are left", n)
	}
}

// The subscription connection breaks every second: killed by the server, cut on the way, silent and back, silent and cut.
// Each of several subscriptions, slow ones too, delivers each message once, in order, or tells that it is missing.
func TestPitfall17PubSubGaps(t *testing.T) {
	if !alone(t) {
		return
	}
	r := newRange(t, 3)
	all, err := pubsub.NewPattern[shot](r.listener, "fire.*")
	if err != nil {
		t.Fatal(err)
	}
	const nap = 5 * time.Millisecond
	one, every := []int{0}, []int{0, 1, 2}
	fast := []*ear{
		listen(t, "topic", one, r.topics[0], 0, pubsub.Buffer(1<<18)),
		listen(t, "pattern", every, all, 0, pubsub.Buffer(1<<18)),
	}
	slow := []*ear{
		listen(t, "drop oldest", one, r.topics[0], nap, pubsub.Buffer(16)),
		listen(t, "drop newest", every, all, nap, pubsub.Buffer(16), pubsub.WhenFull(pubsub.DropNewest)),
		listen(t, "block", []int{1}, r.topics[1], nap, pubsub.Buffer(16), pubsub.WhenFull(pubsub.Block(20*time.Millisecond))),
	}
	r.shoot()
	broken := r.breakEverySecond(*fireFor)
	r.barrage.finish(append(fast, slow...)...)
	for _, e := range fast {
		sum := r.barrage.judge(e)
		if sum.dropped != 0 {
			t.Errorf("%s dropped %d", e.name, sum.dropped)
		}
		if sum.gaps < broken/2 || sum.delivered < sum.published/4 || sum.published == 0 {
			t.Errorf("%s: after %d breaks this shows nothing: %v", e.name, broken, sum)
		}
	}
	for _, e := range slow {
		if sum := r.barrage.judge(e); sum.dropped == 0 || sum.delivered == 0 {
			t.Errorf("%s: this shows nothing: %v", e.name, sum)
		}
	}
	r.silent()
}

// breakEverySecond breaks the subscription connection for a time, and answers how often. It is whole at the end.
func (r *range17) breakEverySecond(long time.Duration) (broken int) {
	r.Helper()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	heal := func() {}
	defer func() { heal() }()
	for over, turn := time.Now().Add(long), 0; time.Now().Before(over); turn++ {
		<-tick.C
		if turn%6 == 5 { // what the hole holds is lost
			r.proxy.Cut()
			broken++
		}
		heal()
		heal = func() {}
		switch turn % 6 {
		case 0, 3:
			r.connected()
			if n, err := r.rdb.Do(r.Context(), "CLIENT", "KILL", "TYPE", "pubsub").Int(); err != nil || n != 1 {
				r.Errorf("killed %d connections: %v", n, err)
			}
			broken++
		case 1:
			r.proxy.Cut()
			broken++
		case 2, 4: // until the next turn
			heal = r.proxy.BlackHole(turn%6 == 4)
		}
	}
	return broken
}

// The connection goes silent for good, and nobody ends it: that is noticed, and told as a gap.
func TestPitfall17PubSubSilence(t *testing.T) {
	if !alone(t) {
		return
	}
	r := newRange(t, 1)
	e := listen(t, "topic", []int{0}, r.topics[0], 0, pubsub.Buffer(1<<18))
	r.shoot()
	redistest.WaitFor(t, slow, func() bool { return r.listener.Stats().Received > 100 }, "messages")
	heal := r.proxy.BlackHole(false)
	began := time.Now()
	redistest.WaitFor(t, slow, func() bool { return r.listener.Stats().Gaps == 1 }, "the gap")
	t.Logf("noticed after %v", time.Since(began).Round(time.Millisecond))
	r.barrage.finish(e)
	if sum := r.barrage.judge(e); sum.within == 0 || sum.gaps != 1 || sum.dropped != 0 {
		t.Errorf("%v", sum)
	}
	heal() // so that Redis hears that the old connection is gone
	r.silent()
}

// A SUBSCRIBE that Redis refuses is its caller's error, and leaves neither a goroutine nor a connection; where it is refused
// after a reconnect, the subscription ends with the error, and those to other channels go on.
func TestPitfall17PubSubRefused(t *testing.T) {
	if !alone(t) {
		return
	}
	r := newRange(t, 2)
	ctx := t.Context()
	acl := func(args ...any) {
		t.Helper()
		if err := r.rdb.Do(ctx, append([]any{"ACL", "SETUSER"}, args...)...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	acl("fire", "on", ">word", "resetchannels", "&fire.0", "~*", "+@all")
	r.listener = r.open("redis://fire:word@" + r.proxy.Addr())
	r.topics = r.make(r.listener, 2)
	refused := func(to listener) {
		t.Helper()
		if s, err := to.Subscribe(ctx); !errors.Is(err, pubsub.ErrNotPermitted) {
			t.Fatalf("%v, %v", s, err)
		}
	}
	all, err := pubsub.NewPattern[shot](r.listener, "fire.*")
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		refused(r.topics[1])
		refused(all)
	}
	r.silent()
	keep := listen(t, "kept", []int{0}, r.topics[0], 0, pubsub.Buffer(1<<18))
	refused(r.topics[1]) // beside one that stands
	acl("fire", "&fire.1")
	lose := listen(t, "refused", []int{1}, r.topics[1], 0)
	r.shoot()
	redistest.WaitFor(t, slow, func() bool { return r.listener.Stats().Received > 100 }, "messages")
	acl("fire", "resetchannels", "&fire.0") // which ends the connection, as it has what it may not
	<-lose.done
	if !errors.Is(lose.err, pubsub.ErrNotPermitted) || !errors.Is(lose.sub.Err(), pubsub.ErrNotPermitted) {
		t.Errorf("ended with %v; %v", lose.err, lose.sub.Err())
	}
	r.barrage.finish(keep)
	if sum := r.barrage.judge(keep); sum.gaps == 0 || sum.delivered == 0 {
		t.Errorf("%v", sum)
	}
	r.silent()
}

// A subscriber that is held back is cut off by Redis at its output buffer's limit: a gap.
func TestPitfall17PubSubCutAtTheBuffer(t *testing.T) {
	if !alone(t) {
		return
	}
	r := newRange(t, 2, redistest.WithConfig("client-output-buffer-limit pubsub 256kb 0 0"))
	ears := []*ear{
		listen(t, "flooded", []int{0}, r.topics[0], 0, pubsub.Buffer(1<<18)),
		listen(t, "beside it", []int{1}, r.topics[1], 0, pubsub.Buffer(1<<18)),
	}
	r.shoot()
	redistest.WaitFor(t, slow, func() bool { return r.listener.Stats().Received > 100 }, "messages")
	r.proxy.Bandwidth(0, 10<<10)
	ballast := strings.Repeat("x", 64<<10)
	cut := subscriptions(t, r.rdb)
	redistest.WaitFor(t, slow, func() bool {
		if err := r.rdb.Publish(context.Background(), "fire.0", `{"P":-1,"Pad":"`+ballast+`"}`).Err(); err != nil {
			t.Fatal(err)
		}
		now := subscriptions(t, r.rdb)
		return len(now) == 0 || now[0] != cut[0]
	}, "Redis to cut the connection")
	r.proxy.Bandwidth(0, 0)
	r.barrage.finish(ears...)
	for _, e := range ears {
		if sum := r.barrage.judge(e); sum.gaps == 0 || sum.within == 0 || sum.dropped != 0 {
			t.Errorf("%s: %v", e.name, sum)
		}
	}
	r.silent()
}
