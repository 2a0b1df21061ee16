package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/tidemill/tidemill/internal/conn"
	"github.com/tidemill/tidemill/internal/redistest"
)

// subscribers returns how many the server counts on a channel.
func subscribers(t testing.TB, rdb *redis.Client, channel string) int64 {
	t.Helper()
	n, err := rdb.PubSubNumSub(context.Background(), channel).Result()
	if err != nil {
		t.Fatal(err)
	}
	return n[channel]
}

// open answers the Hub of a Set of the test's own.
func open(t testing.TB, url string, cfg conn.Config) (*conn.Set, *Hub) {
	t.Helper()
	set, err := conn.Open(t.Context(), url, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = set.Close() })
	return set, HubOf(set)
}

func TestRealServer(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	admin := redistest.Client(t, srv)
	set, hub := open(t, srv.URL(), conn.Config{ClientName: "bus"})
	got := make(record, 2000)
	ch, other := subscribe(t, hub, Channel, "ch", got), subscribe(t, hub, Channel, "other", got)
	if list := admin.ClientList(t.Context()).Val(); strings.Count(list, "name=bus:subscription ") != 1 {
		t.Errorf("want one connection for the subscription:\n%s", list)
	}
	for i := range 1000 {
		if err := Publish(t.Context(), set.Shared(), "ch", fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 1000 {
		if m := got.next(t); m != fmt.Sprintf("ch=%d", i) {
			t.Fatalf("message %d is %q", i, m)
		}
	}
	if err := PublishAll(t.Context(), set.Shared(), []Message{{"ch", "a"}, {"nobody", "b"}, {"other", "c"}, {"ch", "d"}}); err != nil {
		t.Fatal(err)
	}
	if a, c, d := got.next(t), got.next(t), got.next(t); a != "ch=a" || c != "other=c" || d != "ch=d" {
		t.Errorf("published together: %q, %q, %q", a, c, d)
	}

	// killed by an operator, then a restart
	if err := admin.Do(t.Context(), "CLIENT", "KILL", "TYPE", "pubsub").Err(); err != nil {
		t.Fatal(err)
	}
	got.gap(t)
	got.gap(t)
	if err := srv.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	got.gap(t)
	got.gap(t)
	if n := subscribers(t, admin, "ch"); n != 1 {
		t.Errorf("%d subscribers, one resubscribe left more behind", n)
	}
	other.Close()
	redistest.WaitFor(t, time.Minute, func() bool { return subscribers(t, admin, "other") == 0 }, "one subscription to end")
	if n := subscribers(t, admin, "ch"); n != 1 {
		t.Errorf("%d subscribers after the other subscription was closed", n)
	}
	ch.Close()
	redistest.WaitFor(t, time.Minute, func() bool {
		return !strings.Contains(admin.ClientList(context.Background()).Val(), "name=bus:subscription")
	}, "the connection to end with the last subscription")
}

// The end of a Set leaves neither goroutines nor connections, whatever its Hub is at.
func TestLeavesNothing(t *testing.T) {
	srv := redistest.Server(t)
	admin := redistest.Client(t, srv)
	admin.Ping(t.Context())
	before := goleak.IgnoreCurrent()
	set, hub := open(t, srv.URL(), conn.Config{ClientName: "bus"})
	got := make(record, 10)
	subscribe(t, hub, Channel, "ch", got)
	subscribe(t, hub, Pattern, "p*", got)
	hub.mu.RLock()
	l := hub.links[""]
	hub.mu.RUnlock()
	if err := l.conn.Close(); err != nil { // so that it may be about to connect again
		t.Fatal(err)
	}
	if err := set.Close(); err != nil {
		t.Error(err)
	}
	goleak.VerifyNone(t, before)
	redistest.WaitFor(t, time.Minute, func() bool {
		return !strings.Contains(admin.ClientList(context.Background()).Val(), "name=bus")
	}, "the connections to end")
}

func TestRefusedByACL(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	admin := redistest.Client(t, srv)
	permit := func(channels ...any) {
		t.Helper()
		rules := append([]any{"ACL", "SETUSER", "few", "on", ">pw", "~*", "resetchannels", "+@all"}, channels...)
		if err := admin.Do(t.Context(), rules...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	permit("&mine*", "&later")
	set, hub := open(t, "redis://few:pw@"+srv.Addr(), conn.Config{})
	_, err := hub.Subscribe(t.Context(), Channel, "theirs", make(record))
	if !errors.Is(err, conn.ErrPermission) || !strings.Contains(err.Error(), "theirs") {
		t.Errorf("subscribe: %v", err)
	}
	if left := set.Left(); left != 10 {
		t.Errorf("%d connections left: one is kept for nobody", left)
	}
	// Among many at once only those that may not be are refused.
	var all sync.WaitGroup
	got, refused := make(record, 1000), make(chan string, 1000)
	for i := range 200 {
		name := fmt.Sprintf("mine%d", i)
		if i%50 == 7 {
			name = fmt.Sprintf("theirs%d", i)
		}
		all.Go(func() {
			switch _, err := hub.Subscribe(t.Context(), Channel, name, got); {
			case errors.Is(err, conn.ErrPermission):
				refused <- name
			case err != nil:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if s := hub.Stats(); len(refused) != 4 || s.Names != 196 || s.Connections != 1 {
		t.Errorf("%d were refused; %+v", len(refused), s)
	}
	later := make(record, 10)
	subscribe(t, hub, Channel, "later", later)
	permit("&mine*") // Redis cuts the connection
	if m := later.next(t); !strings.HasPrefix(m, "ended: ") || !strings.Contains(m, "NOPERM") {
		t.Errorf("no longer permitted: %q", m)
	}
	for range 196 {
		got.gap(t)
	}
	if s := hub.Stats(); s.Names != 196 || s.Connections != 1 {
		t.Errorf("%+v", s)
	}
	if err := Publish(t.Context(), set.Shared(), "theirs", "x"); !redis.IsPermissionError(err) || errors.Is(err, conn.ErrUnavailable) {
		t.Errorf("publish: %v", err)
	}
	if err := PublishAll(t.Context(), set.Shared(), []Message{{"mine", "x"}, {"theirs", "x"}}); !redis.IsPermissionError(err) {
		t.Errorf("publish together: %v", err)
	}
}

// A user who may log in no more is told so at once, while those who were subscribed wait for better times.
func TestRefusedLogin(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	admin := redistest.Client(t, srv)
	setUser := func(rules ...any) {
		t.Helper()
		if err := admin.Do(t.Context(), append([]any{"ACL", "SETUSER", "app"}, rules...)...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	setUser("on", ">pw", "~*", "&*", "+@all")
	_, hub := open(t, "redis://app:pw@"+srv.Addr(), conn.Config{})
	got := make(record, 10)
	subscribe(t, hub, Channel, "ch", got)
	setUser("resetpass", ">other")
	if err := admin.Do(t.Context(), "CLIENT", "KILL", "TYPE", "pubsub").Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := hub.Subscribe(t.Context(), Channel, "another", got); !errors.Is(err, conn.ErrAuth) {
		t.Errorf("subscribe: %v", err)
	}
	setUser("resetpass", ">pw")
	got.gap(t)
}

// A receiver that is too slow is cut off by the server: that is a gap.
func TestOutputBuffer(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t, redistest.WithConfig("client-output-buffer-limit pubsub 1mb 0 0"))
	_, hub := open(t, srv.URL(), conn.Config{})
	got := make(record) // which blocks
	subscribe(t, hub, Channel, "ch", got)
	pub := redistest.Client(t, srv)
	text := strings.Repeat("x", 1<<20)
	for i := 0; pub.Publish(t.Context(), "ch", text).Val() == 1; i++ {
		if i == 200 {
			t.Fatal("the server has room for 200 MB")
		}
	}
	for m := got.next(t); ; m = got.next(t) {
		if strings.HasPrefix(m, "gap: ") {
			if !strings.HasPrefix(m, "gap: connection lost") {
				t.Errorf("%q", m)
			}
			return
		}
	}
}

func TestLargeMessages(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t, redistest.WithConfig("client-output-buffer-limit pubsub 0 0 0"))
	_, hub := open(t, srv.URL(), conn.Config{})
	got := make(record, 10)
	subscribe(t, hub, Channel, "ch", got)
	pub := redistest.Client(t, srv)
	for _, size := range []int{64<<20 + 5, 0, 100_000, 1, 10_000} {
		text := strings.Repeat("y", size)
		if err := pub.Publish(t.Context(), "ch", text).Err(); err != nil {
			t.Fatal(err)
		}
		if m := got.next(t); m != "ch="+text {
			t.Errorf("%d bytes came as %d", size, len(m)-3)
		}
	}
}

// Twenty thousand subscriptions to as many channels, made by two hundred callers at once, again after the connection
// was lost, and closed.
func TestManyNames(t *testing.T) {
	t.Parallel()
	const callers, each = 200, 100
	srv := redistest.Server(t)
	_, hub := open(t, srv.URL(), conn.Config{})
	counts := &tally{}
	subs := make([][]*Sub, callers)
	began := time.Now()
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			for j := range each {
				s, err := hub.Subscribe(t.Context(), Channel, fmt.Sprintf("ch:%d:%d", i, j), counts)
				if err != nil {
					t.Error(err)
					return
				}
				subs[i] = append(subs[i], s)
			}
		})
	}
	all.Wait()
	t.Logf("subscribing took %v", time.Since(began).Round(time.Millisecond))
	admin := redistest.Client(t, srv)
	list := admin.Do(t.Context(), "CLIENT", "LIST", "TYPE", "pubsub").String()
	if !strings.Contains(list, fmt.Sprintf(" sub=%d ", callers*each)) || strings.Count(list, "id=") != 1 {
		t.Errorf("%s", list)
	}
	began = time.Now()
	if err := admin.Do(t.Context(), "CLIENT", "KILL", "TYPE", "pubsub").Err(); err != nil {
		t.Fatal(err)
	}
	redistest.WaitFor(t, time.Minute, func() bool { return counts.gaps.Load() == callers*each }, "all to be told of the gap")
	t.Logf("subscribing anew took %v", time.Since(began).Round(time.Millisecond))
	for i := range 100 {
		admin.Publish(t.Context(), fmt.Sprintf("ch:%d:%d", i*2, i), "x")
	}
	redistest.WaitFor(t, time.Minute, func() bool { return counts.messages.Load() == 100 }, "the messages")
	for _, some := range subs[1:] {
		for _, s := range some {
			s.Close()
		}
	}
	redistest.WaitFor(t, time.Minute, func() bool {
		return strings.Contains(admin.Do(t.Context(), "CLIENT", "LIST", "TYPE", "pubsub").String(), fmt.Sprintf(" sub=%d ", each))
	}, "the closed ones to be unsubscribed")
	if s := hub.Stats(); s.Names != each || s.Reconnects != 1 {
		t.Errorf("%+v", s)
	}
}
