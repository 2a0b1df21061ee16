package conn

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// thing is something attached.
type thing struct {
	closed int
	alive  func() error // asked when it is closed
	err    error
}

func (a *thing) Close() error {
	a.closed++
	if a.alive != nil {
		a.err = a.alive()
	}
	return nil
}

func wrap(t testing.TB, rdb redis.UniversalClient, cfg Config) *Set {
	t.Helper()
	set, err := Wrap(rdb, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = set.Close() })
	return set
}

// A Set around the client of another that Open made is a view of it.
func TestViews(t *testing.T) {
	owner := open(t, "redis://"+startRedis(t), Config{MaxConnections: 10, ClientName: "own"})
	view := wrap(t, owner.Shared(), Config{MaxConnections: 40, ClientName: "other"})
	if owner.Left() != 3 || view.Left() != 3 { // what others have of it is for commands
		t.Fatalf("%d and %d connections left", owner.Left(), view.Left())
	}
	ofView, err := view.Dedicated("blocking", 2)
	if err != nil {
		t.Fatal(err)
	}
	if name := ofView.ClientGetName(t.Context()).Val(); name != "own:blocking" {
		t.Errorf("it is called %q", name)
	}
	if _, err := owner.Dedicated("more", 2); !errors.Is(err, ErrConfig) {
		t.Errorf("beyond the budget that both have: %v", err)
	}
	_ = view.Close()
	if err := ofView.Ping(t.Context()).Err(); !Closed(err) {
		t.Errorf("a client of a closed view: %v", err)
	}
	if err := owner.Shared().Ping(t.Context()).Err(); err != nil || owner.Left() != 3 {
		t.Errorf("closing the view closed its owner: %v, %d left", err, owner.Left())
	}
	if _, err := view.Dedicated("more", 1); !Closed(err) {
		t.Errorf("a closed view: %v", err)
	}

	view = wrap(t, owner.Shared(), Config{})
	if ofView, err = view.Dedicated("blocking", 1); err != nil {
		t.Fatal(err)
	}
	_ = owner.Close()
	if err := ofView.Ping(t.Context()).Err(); !Closed(err) {
		t.Errorf("a view's client after the owner's end: %v", err)
	}
	if _, err := view.Dedicated("more", 1); !Closed(err) {
		t.Errorf("a view after the owner's end: %v", err)
	}
	if _, err := view.Raw("more"); !Closed(err) {
		t.Errorf("a view after the owner's end: %v", err)
	}
	_ = view.Close()
	if late := wrap(t, owner.Shared(), Config{}); late.Left() != DefaultMaxConnections-1 {
		t.Errorf("a Set around a client of none: %d left", late.Left())
	}
}

// Sets around one client that none of them owns share a budget too, the largest that was asked for.
func TestWrappedTogether(t *testing.T) {
	rdb := pipeRedis(t, redis.Options{})
	first := wrap(t, rdb, Config{MaxConnections: 5})
	second := wrap(t, rdb, Config{})
	if first.Left() != 4 || second.Left() != 4 {
		t.Errorf("%d and %d connections left", first.Left(), second.Left())
	}
	third := wrap(t, rdb, Config{MaxConnections: 8})
	if first.Left() != 7 {
		t.Errorf("%d connections left", first.Left())
	}
	small, err := first.Dedicated("blocking", 1)
	if err != nil {
		t.Fatal(err)
	}
	_ = second.Close()
	_ = third.Close()
	if err := small.Ping(t.Context()).Err(); err != nil {
		t.Errorf("the end of another Set: %v", err)
	}
	_ = first.Close()
	if fresh := wrap(t, rdb, Config{MaxConnections: 4}); fresh.Left() != 3 {
		t.Errorf("%d connections left of a new budget", fresh.Left())
	}
	if other := wrap(t, pipeRedis(t, redis.Options{}), Config{}); other.Left() != 49 {
		t.Errorf("another client has the same budget: %d left", other.Left())
	}
}

func TestAttach(t *testing.T) {
	type key struct{}
	owner := open(t, "redis://"+startRedis(t), Config{})
	made := 0
	attach := func(s *Set) *thing {
		return s.Attach(key{}, func() io.Closer {
			made++
			return &thing{alive: func() error { return owner.Shared().Ping(t.Context()).Err() }}
		}).(*thing)
	}
	view := wrap(t, owner.Shared(), Config{})
	one := attach(view)
	if attach(owner) != one || made != 1 {
		t.Errorf("%d were made", made)
	}
	_ = view.Close()
	if one.closed != 0 {
		t.Error("it ended with a view")
	}
	_ = owner.Close()
	_ = owner.Close()
	if one.closed != 1 || one.err != nil {
		t.Errorf("it was closed %d times; the client was gone: %v", one.closed, one.err)
	}
	if late := attach(owner); late == one || late.closed != 1 {
		t.Errorf("of a closed Set: closed %d times", late.closed)
	}

	rdb := pipeRedis(t, redis.Options{})
	first, second := wrap(t, rdb, Config{}), wrap(t, rdb, Config{})
	two := attach(first)
	_ = first.Close()
	if two.closed != 0 || attach(second) != two {
		t.Error("it ended with one of two Sets")
	}
	_ = second.Close()
	if two.closed != 1 {
		t.Errorf("closed %d times at the end", two.closed)
	}
}

func TestBehind(t *testing.T) {
	failover := redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "x", SentinelAddrs: []string{"127.0.0.1:1"}})
	t.Cleanup(func() { _ = failover.Close() })
	cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}})
	t.Cleanup(func() { _ = cluster.Close() })
	for rdb, want := range map[redis.UniversalClient]time.Duration{
		failover: 30 * time.Second, cluster: 250 * time.Millisecond, pipeRedis(t, redis.Options{}): 0,
	} {
		if got := wrap(t, rdb, Config{}).Behind(); got != want {
			t.Errorf("%T: %v, want %v", rdb, got, want)
		}
	}
}
