package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/tidemill/tidemill/internal/conn"
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

func TestRealServer(t *testing.T) {
	addr, stop := startRedis(t, "")
	before := goleak.IgnoreCurrent()
	set, err := conn.Open(t.Context(), "redis://"+addr, conn.Config{ClientName: "bus"})
	if err != nil {
		t.Fatal(err)
	}
	client, err := set.Dedicated("subscription", 1)
	if err != nil {
		t.Fatal(err)
	}
	admin := redis.NewClient(&redis.Options{Addr: addr})
	got := make(record, 2000)
	end := start(t, t.Context(), client, got, "ch", "other")
	if m := got.next(t); m != "connected" {
		t.Fatalf("got %q", m)
	}
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

	// killed by an operator, then a restart
	if err := admin.Do(t.Context(), "CLIENT", "KILL", "TYPE", "pubsub").Err(); err != nil {
		t.Fatal(err)
	}
	if m := got.next(t); m != "connected" {
		t.Fatalf("after CLIENT KILL: %q", m)
	}
	stop()
	_, stop = startRedis(t, addr)
	if m := got.next(t); m != "connected" {
		t.Fatalf("after a restart: %q", m)
	}
	if n := subscribers(t, admin, "ch"); n != 1 {
		t.Errorf("%d subscribers, one resubscribe left more behind", n)
	}

	began := time.Now()
	if err := end(); err != nil || time.Since(began) > time.Second {
		t.Errorf("ended with %v after %v", err, time.Since(began))
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(5 * time.Second); subscribers(t, admin, "ch") > 0; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("the subscription is still there")
		}
	}
	_, _ = set.Close(), admin.Close()
	stop()
	goleak.VerifyNone(t, before)
}

func TestRefusedByACL(t *testing.T) {
	addr, _ := startRedis(t, "")
	admin := redis.NewClient(&redis.Options{Addr: addr})
	defer func() { _ = admin.Close() }()
	if err := admin.Do(t.Context(), "ACL", "SETUSER", "few", "on", ">pw", "~*", "resetchannels", "&mine", "+@all").Err(); err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(&redis.Options{Addr: addr, Username: "few", Password: "pw"})
	defer func() { _ = rdb.Close() }()
	err := Run(t.Context(), rdb, []string{"mine", "theirs"}, make(record))
	if !redis.IsPermissionError(err) || !strings.Contains(err.Error(), "theirs") {
		t.Errorf("subscribe: %v", err)
	}
	if err := Publish(t.Context(), rdb, "theirs", "x"); !redis.IsPermissionError(err) || errors.Is(err, conn.ErrUnavailable) {
		t.Errorf("publish: %v", err)
	}
	if list := admin.ClientList(t.Context()).Val(); strings.Contains(list, "sub=1") {
		t.Errorf("a subscription is left:\n%s", list)
	}
}
