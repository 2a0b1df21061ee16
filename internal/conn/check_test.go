package conn

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/internal/loop"
)

func TestCheckEmbedded(t *testing.T) {
	for _, protocol := range []int{2, 3} {
		set, err := Wrap(pipeRedis(t, redis.Options{Protocol: protocol}), Config{})
		if err != nil {
			t.Fatal(err)
		}
		srv, warnings, err := set.Check(t.Context())
		if err != nil || len(warnings) > 0 || !srv.Embedded() || !srv.AtLeast(6, 2) || srv.AtLeast(99, 0) {
			t.Errorf("protocol %d: %+v %q %v", protocol, srv, warnings, err)
		}
		if err := set.Shared().Set(t.Context(), "k", "v", 0).Err(); err != nil {
			t.Errorf("protocol %d: the connection speaks something else now: %v", protocol, err)
		}
		_ = set.Close()
	}
}

func TestCheckReal(t *testing.T) {
	addr := startRedis(t, "user blind on >pw ~* &* +@all -info -config -role")
	admin := plain(t, addr)
	set := open(t, "redis://"+addr, Config{})
	check := func(set *Set) (Server, []string, error) { t.Helper(); return set.Check(t.Context()) }

	srv, warnings, err := check(set)
	if err != nil || len(warnings) > 0 || srv.Kind == "" || srv.Mode != "standalone" || !srv.AtLeast(6, 2) {
		t.Fatalf("a good server: %+v %q %v", srv, warnings, err)
	}

	srv, warnings, err = check(open(t, "redis://blind:pw@"+addr, Config{}))
	if err != nil || !srv.Known() || len(warnings) != 1 || !strings.Contains(warnings[0], "eviction") {
		t.Fatalf("a server that hides what it can: %+v %q %v", srv, warnings, err)
	}

	admin.ConfigSet(t.Context(), "maxmemory-policy", "volatile-lru")
	if _, warnings, err = check(set); err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "volatile-lru") {
		t.Fatalf("policy without a limit: %q %v", warnings, err)
	}
	admin.ConfigSet(t.Context(), "maxmemory", "100mb")
	_, _, err = check(set)
	if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "volatile-lru") ||
		!strings.Contains(err.Error(), "CONFIG SET maxmemory-policy noeviction") {
		t.Fatalf("an evicting server: %v", err)
	}
	// where INFO is barred, CONFIG GET tells
	admin.Do(t.Context(), "ACL", "SETUSER", "half", "on", ">pw", "~*", "&*", "+@all", "-info")
	if _, _, err = check(open(t, "redis://half:pw@"+addr, Config{})); !errors.Is(err, ErrUnsupported) {
		t.Fatalf("an evicting server that bars INFO: %v", err)
	}

	admin.ConfigSet(t.Context(), "maxmemory-policy", "noeviction")
	admin.ConfigSet(t.Context(), "maxmemory", "1")
	if err := Classify(admin.Set(t.Context(), "k", "v", 0).Err()); !errors.Is(err, ErrFull) {
		t.Fatalf("a full server: %v", err)
	}
	if err := Classify(admin.Eval(t.Context(), "return redis.call('SET', KEYS[1], 'v')", []string{"k"}).Err()); !errors.Is(err, ErrFull) {
		t.Fatalf("a full server, from a script: %v", err)
	}
	admin.ConfigSet(t.Context(), "maxmemory", "0")

	admin.ReplicaOf(t.Context(), "127.0.0.1", "1")
	for _, user := range []string{"", "noroles:pw@"} {
		admin.Do(t.Context(), "ACL", "SETUSER", "noroles", "on", ">pw", "~*", "&*", "+@all", "-role")
		_, _, err = check(open(t, "redis://"+user+addr, Config{}))
		if !errors.Is(err, ErrReadOnly) || !strings.Contains(err.Error(), "127.0.0.1:1:") {
			t.Fatalf("a replica: %v", err)
		}
	}
	if err := Classify(admin.Set(t.Context(), "k", "v", 0).Err()); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("a write to a replica: %v", err)
	}
}

// TestCheckScripted asks servers that are not at hand.
func TestCheckScripted(t *testing.T) {
	const unknown = "-ERR unknown command\r\n"
	for _, c := range []struct {
		what        string
		hello, info string
		want        Server
		kind        error
		words       []string
	}{
		{"valkey", array("server", "valkey", "version", "8.0.1", "mode", "standalone"), unknown,
			Server{"valkey", "8.0.1", 8, 0, "standalone"}, nil, nil},
		{"redis 5", unknown, bulk("# Server\r\nredis_version:5.0.7\r\nredis_mode:standalone\r\n"),
			Server{"redis", "5.0.7", 5, 0, "standalone"}, ErrUnsupported, []string{"redis 5.0.7", "6.2"}},
		{"redis 6.0", array("server", "redis", "version", "6.0.16", "mode", "standalone"), unknown,
			Server{"redis", "6.0.16", 6, 0, "standalone"}, ErrUnsupported, []string{"6.0.16"}},
		{"valkey by INFO", "-NOPERM no\r\n", bulk("redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.0.0\r\nserver_mode:standalone\r\n"),
			Server{"valkey", "9.0.0", 9, 0, "standalone"}, nil, nil},
		{"sentinel", array("server", "redis", "version", "7.0.1", "mode", "sentinel"), unknown,
			Server{"redis", "7.0.1", 7, 0, "sentinel"}, ErrUnsupported, []string{"Sentinel", "NewFailoverClient"}},
		{"odd version", array("server", "Thing", "version", "df-1.2"), unknown,
			Server{"thing", "df-1.2", 0, 0, ""}, nil, nil},
		{"busy", "-LOADING Redis is loading\r\n", unknown, Server{}, ErrUnavailable, []string{"LOADING"}},
	} {
		set := open(t, "redis://"+startScripted(t, nil, func(cmd string) string {
			switch {
			case cmd == "hello 2":
				return c.hello
			case cmd == "info server":
				return c.info
			case cmd == "info memory":
				return bulk("maxmemory:0\r\nmaxmemory_policy:noeviction\r\n")
			}
			return answerPing(cmd)
		}).addr, Config{})
		srv, warnings, err := set.Check(t.Context())
		if c.kind == nil && (len(warnings) > 0) == srv.Known() {
			t.Errorf("%s: warnings %q", c.what, warnings)
		}
		if srv != c.want || !errors.Is(err, c.kind) {
			t.Errorf("%s: got %+v, %v", c.what, srv, err)
		}
		for _, w := range c.words {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v lacks %q", c.what, err, w)
			}
		}
	}
}

func TestCheckUnavailable(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1, DialerRetries: 1})
	defer func() { _ = rdb.Close() }()
	set, err := Wrap(rdb, Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := set.Check(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestLibraryLogIsQuiet(t *testing.T) {
	synctest.Test(t, func(*testing.T) {
		var out bytes.Buffer
		log := &libraryLog{log: zerolog.New(&out), limit: loop.NewLimiter(0)}
		for range 10 {
			log.Printf(context.Background(), "pool: %d", 7)
		}
		if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `"level":"debug"`) || !strings.Contains(got, "pool: 7") {
			t.Errorf("logged %q", got)
		}
	})
}
