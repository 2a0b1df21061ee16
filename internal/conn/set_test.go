package conn

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestOpenForms(t *testing.T) {
	dir, err := os.MkdirTemp("", "tm") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	addr := startRedis(t, "unixsocket "+socket, "requirepass p@ss/w", "user app on >app ~* &* +@all")
	_, port, _ := net.SplitHostPort(addr)
	for _, url := range []string{
		"redis://:p%40ss%2Fw@" + addr + "/3",
		"redis://app:app@localhost:" + port + "/3",
		"unix://app:app@" + socket + "?db=3",
	} {
		set := open(t, url, Config{ClientName: "forms"})
		if err := set.Shared().Incr(t.Context(), "n").Err(); err != nil {
			t.Fatal(err)
		}
		small, err := set.Dedicated("blocking", 1)
		if err != nil {
			t.Fatal(err)
		}
		// the same server, user and database
		if err := small.Incr(t.Context(), "n").Err(); err != nil {
			t.Fatal(err)
		}
		if name := small.ClientGetName(t.Context()).Val(); name != "forms:blocking" {
			t.Errorf("%s: client name is %q", url, name)
		}
		if set.Cluster() {
			t.Error("a single server is taken for a Cluster")
		}
	}
	observer := redis.NewClient(&redis.Options{Addr: addr, Password: "p@ss/w", DB: 3})
	defer func() { _ = observer.Close() }()
	if n := observer.Get(t.Context(), "n").Val(); n != "6" {
		t.Errorf("n is %s in database 3", n)
	}

	for url, kind := range map[string]error{
		"redis://" + addr:                      ErrAuth,
		"redis://:s3cr3t@" + addr:              ErrAuth,
		"redis://app:s3cr3t@" + addr + "/1":    ErrAuth,
		"redis://app:app@" + addr + "/99":      ErrConfig,
		"redis://u:s3cr3t@127.0.0.1:1":         ErrUnavailable,
		"redis://u:s3cr3t@no-such-host.test:1": ErrUnavailable,
	} {
		_, err := Open(t.Context(), url, Config{})
		if !errors.Is(err, kind) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: got %v, want %v", url, err, kind)
		}
	}
}

// TestOpenEndsWithItsContext opens a server that accepts and never answers.
func TestOpenEndsWithItsContext(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	url := "redis://" + listener.Addr().String()

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := Open(ctx, url+"?read_timeout=1h", Config{}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("deadline: %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := Open(ctx, url+"?read_timeout=1h", Config{}); !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnavailable) {
		t.Errorf("cancelled: %v", err)
	}
	if took := time.Since(start); took > time.Minute {
		t.Errorf("took %v", took)
	}
	if _, err := Open(t.Context(), url+"?read_timeout=50ms", Config{}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("read timeout: %v", err)
	}
}

func TestOpenTLS(t *testing.T) {
	https := httptest.NewTLSServer(nil) // for its certificate
	defer https.Close()
	srv := startScripted(t, func(l net.Listener) net.Listener {
		return tls.NewListener(l, &tls.Config{Certificates: https.TLS.Certificates})
	}, answerPing)
	open(t, "rediss://"+srv.addr+"?skip_verify=true&dial_timeout=1m", Config{})
	if _, err := Open(t.Context(), "rediss://"+srv.addr+"?dial_timeout=1m", Config{}); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown certificate: %v", err)
	}
}

func answerPing(cmd string) string {
	switch cmd {
	case "ping":
		return "+PONG\r\n"
	case "incr n":
		return "" // the reply is lost
	}
	return "-ERR unknown command\r\n"
}

// TestNothingIsSentTwice loses a reply: neither client may send it again, and
// none introduces itself.
func TestNothingIsSentTwice(t *testing.T) {
	srv := startScripted(t, nil, answerPing)
	opened := open(t, "redis://"+srv.addr, Config{})
	wrapped, err := Wrap(plain(t, srv.addr), Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = wrapped.Close() }()
	for _, set := range []*Set{opened, wrapped} {
		small, err := set.Dedicated("heartbeat", 1)
		if err != nil {
			t.Fatal(err)
		}
		before := len(srv.commands())
		err = Classify(small.Incr(t.Context(), "n").Err())
		if !errors.Is(err, ErrUnavailable) || !Retryable(err) {
			t.Errorf("a lost reply: %v", err)
		}
		if got := srv.commands()[before:]; !slices.Equal(got, []string{"hello 2", "incr n"}) {
			t.Errorf("sent %q", got)
		}
	}
	if err := opened.Shared().Incr(t.Context(), "n").Err(); err == nil {
		t.Error("a lost reply passed for a success")
	}
	if got := srv.commands(); strings.Count(strings.Join(got, "\n"), "incr n") != 3 {
		t.Errorf("sent %q", got)
	}
}

func TestWrapRefusesWhatItCannotCopy(t *testing.T) {
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": "127.0.0.1:1"}})
	defer func() { _ = ring.Close() }()
	for _, c := range []struct {
		rdb  redis.UniversalClient
		word string
	}{
		{ring, "*redis.Ring"}, {nil, "<nil>"}, {(*redis.Client)(nil), "nil"}, {(*redis.ClusterClient)(nil), "nil"},
	} {
		if _, err := Wrap(c.rdb, Config{}); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), c.word) {
			t.Errorf("%T: %v", c.rdb, err)
		}
	}
}

// TestWrapInBubble derives small clients from a RESP3 client whose dialer is a
// pipe and whose timeouts are off, blocks on one, and closes the Set under it.
func TestWrapInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rdb := pipeRedis(t, redis.Options{DB: 3, Protocol: 3, ReadTimeout: -1, ClientName: "mine", ClientSideCacheConfig: nil})
		set, err := Wrap(rdb, Config{})
		if err != nil {
			t.Fatal(err)
		}
		if set.Shared() != redis.UniversalClient(rdb) {
			t.Error("the shared client is not the caller's")
		}
		small, err := set.Dedicated("blocking", 1)
		if err != nil {
			t.Fatal(err)
		}
		rdb.RPush(t.Context(), "list", "x")
		if got, err := small.BLPop(t.Context(), 10*time.Second, "list").Result(); err != nil || got[1] != "x" {
			t.Fatalf("%v %v", got, err)
		}
		if name := small.ClientGetName(t.Context()).Val(); name != "mine:blocking" {
			t.Errorf("client name is %q", name)
		}
		opt := small.(*smallClient).UniversalClient.(*redis.Client).Options()
		if opt.ReadTimeout != ioTimeout || opt.MaxRetries != 0 || opt.Protocol != 2 || opt.PoolSize != 1 || opt.PipelinePoolSize != -1 {
			t.Errorf("options of the small client: %+v", opt)
		}

		ended := make(chan error, 1)
		start := time.Now()
		go func() { ended <- small.BLPop(t.Context(), time.Hour, "list").Err() }()
		synctest.Wait()
		for range 2 {
			if err := set.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := <-ended; err == nil || time.Since(start) > time.Second {
			t.Errorf("the blocked call ended with %v after %v", err, time.Since(start))
		}
		if _, err := set.Dedicated("late", 1); !errors.Is(err, redis.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		if err := rdb.Ping(t.Context()).Err(); err != nil {
			t.Errorf("Close closed the caller's client: %v", err)
		}
	})
}

func TestWrapCluster(t *testing.T) {
	t.Parallel()
	addr := startRedis(t, "cluster-enabled yes")
	node := plain(t, addr)
	if err := node.ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the cluster is up", func() bool {
		return strings.Contains(node.ClusterInfo(t.Context()).Val(), "cluster_state:ok")
	})
	rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{addr}, MaxRedirects: -1, RouteRandomly: true})
	defer func() { _ = rdb.Close() }()
	set, err := Wrap(rdb, Config{ClientName: "tm"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = set.Close() }()
	small, err := set.Dedicated("blocking", 1)
	if err != nil {
		t.Fatal(err)
	}
	set.Shared().RPush(t.Context(), "list", "x")
	if got, err := small.BLPop(t.Context(), time.Second, "list").Result(); err != nil || got[1] != "x" {
		t.Fatalf("%v %v", got, err)
	}
	if list := node.ClientList(t.Context()).Val(); !strings.Contains(list, "name=tm:blocking ") {
		t.Errorf("no named client in:\n%s", list)
	}
	if opt := small.(*smallClient).UniversalClient.(*redis.ClusterClient).Options(); opt.ReadOnly || opt.MaxRedirects != 0 || opt.PoolSize != 1 {
		t.Errorf("options of the small client: %+v", opt)
	}
	srv, warnings, err := set.Check(t.Context())
	if err != nil || len(warnings) > 0 || srv.Mode != "cluster" || !srv.AtLeast(6, 2) || !set.Cluster() {
		t.Errorf("check: %+v %q %v", srv, warnings, err)
	}
	if _, warnings, err := open(t, "redis://"+addr, Config{}).Check(t.Context()); err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "ClusterClient") {
		t.Errorf("a plain client on a node of a Cluster: %q %v", warnings, err)
	}
	node.ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lru")
	node.ConfigSet(t.Context(), "maxmemory", "100mb")
	if _, _, err := set.Check(t.Context()); !errors.Is(err, ErrUnsupported) {
		t.Errorf("an evicting node: %v", err)
	}
}

// go-redis appends the nodes it finds to the addresses that it was given: clients that are derived from the same options
// must not share the array behind them.
func TestAddressesAreNotShared(t *testing.T) {
	opt := &redis.ClusterOptions{Addrs: append(make([]string, 0, 8), "127.0.0.1:1")}
	one, two := smallCluster(opt, 1, "one"), smallCluster(opt, 1, "two")
	first := append(one.Addrs, "127.0.0.1:2")
	_ = append(two.Addrs, "127.0.0.1:3")
	if first[1] != "127.0.0.1:2" {
		t.Errorf("the second client wrote %s into the first one's addresses", first[1])
	}
}
