package conn

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redistest"
)

func TestURLsOfSeveralServers(t *testing.T) {
	for _, c := range []struct {
		url   string
		kind  topology
		hosts []string
		name  string
		db    int
		tls   bool
	}{
		{"redis+sentinel://a,b:7000,[::1]:7001/mymaster", bySentinel, []string{"a:26379", "b:7000", "[::1]:7001"}, "mymaster", 0, false},
		{"rediss+sentinel://u:p%40ss%2Fx@a/my%20master/3?pool_size=2", bySentinel, []string{"a:26379"}, "my master", 3, true},
		{"redis+sentinel://u:p%40ss%2Fx@a/m?sentinel_password=x&sentinel_username=y", bySentinel, []string{"a:26379"}, "m", 0, false},
		{"redis+cluster://a,b:7000", inCluster, []string{"a:6379", "b:7000"}, "", 0, false},
		{"rediss+cluster://u:p%40ss%2Fx@a:1,b:2/0?server_name=redis.internal", inCluster, []string{"a:1", "b:2"}, "", 0, true},
	} {
		to, err := parseURL(c.url)
		if err != nil {
			t.Errorf("%s: %v", c.url, err)
			continue
		}
		if to.kind != c.kind || !slices.Equal(to.hosts, c.hosts) || to.name != c.name || to.opt.DB != c.db || (to.opt.TLSConfig != nil) != c.tls {
			t.Errorf("%s: got %+v, database %d", c.url, to, to.opt.DB)
		}
		if strings.Contains(c.url, "@") && (to.opt.Username != "u" || to.opt.Password != "p@ss/x") {
			t.Errorf("%s: got %q %q", c.url, to.opt.Username, to.opt.Password)
		}
		if c.tls && to.opt.TLSConfig.ServerName != to.serverName {
			t.Errorf("%s: every server is held against %q", c.url, to.opt.TLSConfig.ServerName)
		}
	}
}

func TestFaultsOfURLsOfSeveralServers(t *testing.T) {
	notPEM := filepath.Join(t.TempDir(), "not.pem")
	if err := os.WriteFile(notPEM, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	for url, words := range map[string][]string{
		"redis+sentinel://u:s3cr3t@h":                                     {"name of the primary is missing"},
		"redis+sentinel://u:s3cr3t@h/m/x":                                 {`"x"`, "number"},
		"redis+sentinel://u:s3cr3t@h:0/m":                                 {`"h"`, "65535"},
		"redis+sentinel://u:s3cr3t@h,/m":                                  {"a Sentinel is empty"},
		"redis+sentinel://u:s3cr3t@h,h:26379/m":                           {"twice", "h:26379"},
		"redis+sentinel://u:s3cr3t@h/m?sentinel_username=x":               {"sentinel_password"},
		"redis+cluster://u:s3cr3t@h,:":                                    {"a node of the Cluster is empty"},
		"redis+cluster://u:s3cr3t@h:x":                                    {`"h"`, "65535"},
		"redis+cluster://u:s3cr3t@h/2":                                    {"database 2", "0 only"},
		"redis+cluster://u:s3cr3t@h?db=2":                                 {"database 2", "0 only"},
		"redis+cluster://u:s3cr3t@a b":                                    {`"a b"`, "not the address"},
		"redis+sentinels://h/m":                                           {`"redis+sentinels"`, "redis+sentinel"},
		"redis://h?sentinel_password=s3cr3t":                              {"redis+sentinel:// only"},
		"redis+sentinel://h/m?sentinel_password=s3cr3t&sentinel_password": {"2 times"},
		"redis+sentinel://h/m?sentinel_password=s3cr3t%zz":                {"percent-encode"},
		"redis://h?ca_cert=x":                                             {"ca_cert", "rediss:// only"},
		"rediss://u:s3cr3t@h?ca_cert=/nowhere/ca.crt":                     {"ca_cert", "/nowhere/ca.crt"},
		"rediss://u:s3cr3t@h?ca_cert=" + notPEM:                           {"no certificate in PEM form"},
		"rediss://u:s3cr3t@h?client_cert=x":                               {"client_key", "together"},
		"rediss://u:s3cr3t@h?client_key=x&client_cert=/nowhere/x":         {"/nowhere/x"},
		"redis://h?read_from=any":                                         {"read_from=any", "primary, replica"},
		"redis://h?read_from=replica":                                     {"no replica to find", "replica=host:port"},
		"redis://h?read_from=replica&replica=h":                           {"replica=h", "host:port"},
		"redis://h?replica=h:1":                                           {"read_from=replica beside it"},
		"redis+cluster://h?read_from=replica&replica=h:1":                 {"replica", "redis:// and rediss:// only"},
		// an unencoded character in the password: say so, show nothing
		"redis+cluster://u:a/s3cr3t@h:1":     {"percent-encode"},
		"redis+cluster://u:a?s3cr3t@h:1":     {"percent-encode"},
		"redis+cluster://u:x@s3cr3t/y@h:1":   {"percent-encode"},
		"redis+sentinel://u:x@s3cr3t/y@h:1":  {"percent-encode"},
		"redis+sentinel://u:a#s3cr3t@h/m":    {"percent-encode"},
		"redis+sentinel://u:s3cr3t%zz@h/m":   {"percent-encode"},
		"redis+cluster://:s3cr3t":            {"percent-encode"},
		"redis+cluster://u:a,s3cr3t@h1:1,,h": {"empty"},
	} {
		_, err := parseURL(url)
		if !errors.Is(err, ErrConfig) {
			t.Errorf("%s: got %v, want ErrConfig", url, err)
			continue
		}
		for _, w := range words {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q lacks %q", url, err, w)
			}
		}
		if strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: %q shows the password", url, err)
		}
	}
}

// What a budget leaves for whom.
func TestPoolSizesByTopology(t *testing.T) {
	for _, c := range []struct {
		target                target
		limit                 int
		wantPool, wantReaders int
	}{
		{target{kind: inCluster}, 50, 26, 0},
		{target{kind: inCluster}, 12, 6, 0},
		{target{kind: inCluster}, 4, 1, 0},
		{target{replicas: true}, 50, 32, 8},
		{target{replicas: true}, 5, 1, 1},
		{target{kind: inCluster, replicas: true}, 50, 21, 5},
	} {
		opt := &redis.Options{}
		readers, part, err := c.target.sizePools(opt, c.limit)
		if err != nil || opt.PoolSize != c.wantPool || readers != c.wantReaders || part != c.wantPool+c.wantReaders {
			t.Errorf("%+v: pool %d, readers %d, part %d, %v", c, opt.PoolSize, readers, part, err)
		}
	}
	if _, _, err := (&target{replicas: true}).sizePools(&redis.Options{}, 4); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "at least 5") {
		t.Errorf("no room for a reader: %v", err)
	}
}

func TestOpenSecure(t *testing.T) {
	t.Parallel()
	s := redistest.NewSecure(t)
	good := s.URL(t)
	query := good[strings.Index(good, "?"):]
	open(t, good, Config{})
	open(t, good+"&server_name=redis.internal", Config{})
	for url, words := range map[string][]string{
		strings.Replace(good, "ca_cert", "x_cert", 1):             {`"x_cert"`},
		good + "&server_name=example.com":                         {"example.com", "server_name=NAME"},
		"rediss://app:p%40ss%2Fw@" + s.TLSAddr(t):                 {"unknown authority", "ca_cert=FILE"},
		"rediss://app:wrong@" + s.TLSAddr(t) + query:              {"credentials"},
		"rediss+cluster://app:p%40ss%2Fw@" + s.TLSAddr(t) + query: {"use redis:// for a single server"},
		"rediss+sentinel://app:p@" + s.TLSAddr(t) + "/m" + query:  {"Sentinel"},
		"redis://app:p%40ss%2Fw@" + s.TLSAddr(t):                  {"use rediss://"},
		"rediss://" + s.TLSAddr(t) + "?ca_cert=" + s.Certs.CA:     {"client_cert=FILE and client_key=FILE"},
	} {
		_, err := Open(t.Context(), url, Config{})
		for _, w := range words {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v lacks %q", url, err, w)
			}
		}
		if err != nil && (strings.Contains(err.Error(), "p@ss") || strings.Contains(err.Error(), "p%40ss")) {
			t.Errorf("%v shows the password", err)
		}
	}
	// A renewed certificate counts, and while the files are being replaced the first one does.
	set := open(t, good, Config{})
	if err := os.Remove(s.Certs.Client); err != nil {
		t.Fatal(err)
	}
	small, err := set.Dedicated("late", 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := small.Ping(t.Context()).Err(); err != nil {
		t.Errorf("without the file: %v", err)
	}
}

// A plain server that a TLS client comes to says what it is in two ways: by silence, or with words of its own.
func TestOpenWithTLSWherePlain(t *testing.T) {
	t.Parallel()
	for answer, words := range map[string]string{
		"":                    "(if it does not speak TLS, use redis://)",
		"-ERR what is it\r\n": "it answers, but not with TLS: use redis://",
	} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = listener.Close() })
		go func() {
			for {
				c, err := listener.Accept()
				if err != nil {
					return
				}
				_, _ = io.WriteString(c, answer)
				go func() { _, _ = io.Copy(io.Discard, c); _ = c.Close() }()
			}
		}()
		_, err = Open(t.Context(), "rediss://"+listener.Addr().String()+"?dial_timeout=200ms", Config{})
		if err == nil || !strings.Contains(err.Error(), words) || errors.Is(err, ErrNoTLS) != (answer == "") {
			t.Errorf("%q: %v lacks %q", answer, err, words)
		}
	}
}

// A user who may not name its connections goes without a name.
func TestOpenWithoutSetname(t *testing.T) {
	t.Parallel()
	addr := startRedis(t, "user app on >pw ~* &* +@all -client|setname")
	set := open(t, "redis://app:pw@"+addr, Config{ClientName: "mine"})
	small, err := set.Dedicated("blocking", 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(small.Ping(t.Context()).Err(), set.Shared().Ping(t.Context()).Err()); err != nil {
		t.Error(err)
	}
}

// Sentinels and the servers they watch may want passwords of their own.
func TestSentinelPasswords(t *testing.T) {
	t.Parallel()
	s := redistest.NewSentinel(t, 0, 1, redistest.WithConfig("requirepass data"))
	guard := redistest.Client(t, s.Watchers[0])
	for _, args := range [][]any{
		{"SENTINEL", "SET", redistest.PrimaryName, "auth-pass", "data"}, {"ACL", "SETUSER", "default", "resetpass", ">s3cr3t"},
	} {
		if err := guard.Do(t.Context(), args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	host := s.Watchers[0].Addr()
	set := open(t, "redis+sentinel://:data@"+host+"/mymaster/2?sentinel_password=s3cr3t", Config{})
	if err := set.Shared().Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Error(err)
	}
	for url, words := range map[string][]string{
		"redis+sentinel://:data@" + host + "/mymaster":                           {"sentinel_password"},
		"redis+sentinel://:data@" + host + "/mymaster?sentinel_password=wrong":   {"sentinel_password"},
		"redis+sentinel://:wrong@" + host + "/mymaster?sentinel_password=s3cr3t": {"which Sentinel names", "credentials"},
	} {
		_, err := Open(t.Context(), url, Config{})
		if !errors.Is(err, ErrAuth) {
			t.Errorf("%s: %v", url, err)
			continue
		}
		for _, w := range words {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q lacks %q", url, err, w)
			}
		}
		if strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%v shows a password", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, s.URL(), Config{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: %v", err)
	}
}
