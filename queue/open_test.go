package queue_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// acl is a server's users: mill may do everything with a password, dull only reads.
var acl = redistest.WithConfig("user mill on >s3cret ~* &* +@all", "databases 4")

func TestOpenForms(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		for _, url := range []string{"redis://" + srv.Addr(), "redis://" + srv.Addr() + "/3", "redis://mill:s3cret@" + srv.Addr() + "/2",
			"redis://" + srv.Addr() + "?db=1"} {
			c := open(t, url)
			enqueue(t, c, email{url})
			expectReady(t, c, "default", 1)
			if err := c.Ping(t.Context()); err != nil {
				t.Error(err)
			}
		}
		rdb := redistest.Client(t, srv)
		info := rdb.InfoMap(t.Context(), "keyspace").Item("Keyspace", "db2")
		if list := rdb.ClientList(t.Context()).Val(); !strings.Contains(list, "user=mill") || !strings.Contains(list, "name=tidemill") || info == "" {
			t.Errorf("database 2 has %q; clients:\n%s", info, list)
		}
	}, acl)
}

func TestOpenUnixSocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "tm") // a socket's path has no room for a test's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	redistest.EachServer(t, func(t *testing.T, _ *redisserver.Server) {
		c := open(t, "unix://"+socket+"?db=1")
		enqueue(t, c, email{"x"})
		expectReady(t, c, "default", 1)
	}, redistest.WithConfig("unixsocket "+socket))
}

func TestOpenFaults(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		for url, x := range map[string]struct {
			kind  error
			words string
		}{
			"redis://mill:wrong@" + srv.Addr():   {nil, "refused the credentials"},
			"redis://" + srv.Addr() + "/99":      {queue.ErrInvalid, "database 99"},
			"redis://" + srv.Addr() + "/-1":      {queue.ErrInvalid, `database "-1" is not valid`},
			"redis://" + srv.Addr() + "?nop=1":   {queue.ErrInvalid, `parameter "nop" is not known`},
			"http://" + srv.Addr():               {queue.ErrInvalid, `scheme "http" is not known; allowed: redis, rediss, unix`},
			"127.0.0.1:6379":                     {queue.ErrInvalid, `it has no "://"`},
			"redis://127.0.0.1:x":                {queue.ErrInvalid, "invalid port"},
			"unix://tmp/sock":                    {queue.ErrInvalid, "three slashes"},
			"rediss://" + srv.Addr():             {nil, "TLS"},
			"redis://127.0.0.1:1":                {queue.ErrUnavailable, "connection refused"},
			"unix:///nonexistent/s":              {queue.ErrUnavailable, "no such file"},
			"redis://mill:a@b@" + srv.Addr():     {nil, ""},
			"redis://mill:p/w@" + srv.Addr():     {queue.ErrInvalid, "percent-encode"},
			"redis://h?max_retries=3":            {queue.ErrInvalid, "max_retries"},
			"redis://h?pool_size=100":            {queue.ErrInvalid, "MaxConnections must be at least 103"},
			"redis://" + srv.Addr() + "?db=1&db": {queue.ErrInvalid, "2 times"},
		} {
			c, err := queue.Open(t.Context(), url)
			if err == nil {
				_ = c.Close()
				t.Errorf("%s was opened", url)
				continue
			}
			if x.kind != nil && !errors.Is(err, x.kind) || !strings.Contains(err.Error(), x.words) {
				t.Errorf("%s: %v", url, err)
			}
			for _, secret := range []string{"s3cret", "wrong", "p/w"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error tells the password: %v", err)
				}
			}
		}
	}, acl)
}

// TestOpenUnfitServers: what would lose jobs is refused before any is entrusted to it.
func TestOpenUnfitServers(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		rdb, ctx := redistest.Client(t, srv), t.Context()
		refused := func(words ...string) {
			t.Helper()
			c, err := queue.Open(ctx, srv.URL())
			if err == nil {
				_ = c.Close()
				t.Fatal("opened")
			}
			for _, w := range words {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q lacks %q", err, w)
				}
			}
		}
		rdb.ConfigSet(ctx, "maxmemory-policy", "allkeys-lru")
		var log bytes.Buffer
		open(t, srv.URL(), queue.Config{Logger: zerolog.New(&log)})
		if !strings.Contains(log.String(), `"level":"warn"`) || !strings.Contains(log.String(), "allkeys-lru") {
			t.Errorf("harmless without maxmemory, yet worth a warning: %q", log.String())
		}
		rdb.ConfigSet(ctx, "maxmemory", "100mb")
		refused("allkeys-lru", "deletes jobs when memory runs out", "CONFIG SET maxmemory-policy noeviction")
		rdb.ConfigSet(ctx, "maxmemory-policy", "noeviction")
		open(t, srv.URL())

		primary := redistest.Server(t)
		rdb.Do(ctx, "REPLICAOF", "127.0.0.1", primary.Port())
		refused("read-only replica", "connect to that primary", primary.Addr())
		if _, err := queue.New(rdb); err == nil || !strings.Contains(err.Error(), "read-only replica") {
			t.Errorf("New: %v", err)
		}
		rdb.Do(ctx, "REPLICAOF", "NO", "ONE")
		open(t, srv.URL())
	})
}

// TestServerFloor: no server that old is at hand, so one is played.
func TestServerFloor(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go playRedis5(conn)
		}
	}()
	_, err = queue.Open(t.Context(), "redis://"+listener.Addr().String())
	if err == nil || !strings.Contains(err.Error(), "redis 5.0.14, too old: Tidemill needs Redis 6.2 or newer") {
		t.Error(err)
	}
	_ = listener.Close()
	<-done
}

// playRedis5 answers as Redis 5 does, as far as anyone asks.
func playRedis5(conn net.Conn) {
	defer conn.Close()
	buffer := make([]byte, 4096)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return
		}
		info := "# Server\r\nredis_version:5.0.14\r\nredis_mode:standalone\r\n"
		for _, word := range strings.Split(strings.ToUpper(string(buffer[:n])), "\r\n") {
			switch word {
			case "HELLO":
				fmt.Fprint(conn, "-ERR unknown command `HELLO`\r\n")
			case "INFO":
				fmt.Fprintf(conn, "$%d\r\n%s\r\n", len(info), info)
			case "PING":
				fmt.Fprint(conn, "+PONG\r\n")
			case "CLIENT":
				fmt.Fprint(conn, "+OK\r\n")
			}
		}
	}
}

func TestOpenGivesUpWithItsContext(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		p := redistest.NewProxy(t, srv.Addr())
		p.DelayReply(redistest.On(), time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		start := time.Now()
		if _, err := queue.Open(ctx, "redis://"+p.Addr()); !errors.Is(err, queue.ErrUnavailable) {
			t.Error(err)
		}
		within(t, "Open", time.Since(start), 200*time.Millisecond, 10*time.Second) // the server would answer in an hour
	})
}

func TestNewRefusesOtherClients(t *testing.T) {
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": "127.0.0.1:1"}})
	defer ring.Close()
	var none *redis.Client
	for rdb, words := range map[redis.UniversalClient]string{ring: "*redis.Ring", none: "nil"} {
		if _, err := queue.New(rdb); !errors.Is(err, queue.ErrInvalid) || !strings.Contains(err.Error(), words) {
			t.Error(err)
		}
	}
	if _, err := queue.Open(t.Context(), "redis://h", queue.Config{MaxConnections: 3}); !errors.Is(err, queue.ErrInvalid) || !strings.Contains(err.Error(), "at least 4") {
		t.Error(err)
	}
}
