package conn

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redistest"
)

// Once Redis answers again, idle connections that heard nothing since it was in doubt go; those that did, and those that
// wait for an answer, stay.
func TestDropSilent(t *testing.T) {
	srv := redistest.Server(t)
	set := open(t, srv.URL(), Config{})
	admin := redistest.Client(t, srv)
	rdb := set.Shared().(*redis.Client)
	ours := func() int {
		list, err := admin.ClientList(t.Context()).Result()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(list, "\n") - 1 // without the test's own
	}
	var waiting sync.WaitGroup
	for range 5 { // five connections
		waiting.Go(func() { rdb.BLPop(t.Context(), 100*time.Millisecond, "none") })
	}
	waiting.Wait()
	if n := ours(); n < 5 {
		t.Fatalf("%d connections", n)
	}
	before := ours()
	set.DropSilent() // nobody was in doubt
	if n := ours(); n != before {
		t.Errorf("%d connections of %d", n, before)
	}
	waiting.Go(func() {
		if err := rdb.BLPop(t.Context(), 30*time.Second, "list").Err(); err != nil {
			t.Errorf("the call that waited: %v", err)
		}
	})
	redistest.WaitFor(t, time.Minute, func() bool {
		return strings.Contains(admin.Info(t.Context(), "clients").Val(), "blocked_clients:1\r\n")
	}, "the call to wait")
	set.Doubt()
	if err := rdb.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	set.DropSilent()
	redistest.WaitFor(t, time.Minute, func() bool { return ours() == 2 }, "the silent ones to go")
	admin.RPush(t.Context(), "list", "x")
	waiting.Wait()
	for range 10 {
		if err := rdb.Ping(t.Context()).Err(); err != nil {
			t.Error(err)
		}
	}
	wrapped, err := Wrap(rdb, Config{})
	if err != nil {
		t.Fatal(err)
	}
	wrapped.Doubt()
	wrapped.DropSilent() // of a client that was passed in nothing is known
	if err := rdb.Ping(t.Context()).Err(); err != nil {
		t.Error(err)
	}
}
