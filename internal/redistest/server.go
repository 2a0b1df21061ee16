package redistest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/tidemill/tidemill/internal/redisserver"
)

const (
	// serversEnv names further servers to test against, as a path list.
	serversEnv = "TIDEMILL_TEST_SERVERS"
	// startWithin is generous: a loaded CI machine is slow, not broken.
	startWithin  = 30 * time.Second
	answerWithin = 30 * time.Second // the same, for a reply
	install      = "no redis-server or valkey-server on PATH; install one: apt-get install -y redis-server (Debian, Ubuntu), brew install redis (macOS)"
)

// Option changes the server that Server starts.
type Option func(*redisserver.Options)

// WithAOF turns the append-only file on, synced "always", "everysec" or "no", so
// that data survives a Restart.
func WithAOF(fsync string) Option {
	return func(o *redisserver.Options) { o.AppendOnly, o.AppendFsync = true, fsync }
}

// WithConfig adds raw configuration lines, such as "maxmemory 10mb".
func WithConfig(lines ...string) Option {
	return func(o *redisserver.Options) { o.Extra = append(o.Extra, lines...) }
}

// WithBinary uses the server program at path instead of the one on PATH.
func WithBinary(path string) Option {
	return func(o *redisserver.Options) { o.Binary = path }
}

// Server starts a real server of the test's own on a free loopback port, in a
// folder of its own, and ends it with the test. When none is installed the test
// fails with the line that installs one.
func Server(t testing.TB, opts ...Option) *redisserver.Server {
	t.Helper()
	srv, err := launch(t, options(t, opts))
	if err != nil {
		t.Fatalf("redistest: %v", err)
	}
	return srv
}

// options are those of a server that the test has to itself.
func options(t testing.TB, opts []Option) redisserver.Options {
	t.Helper()
	o := redisserver.Options{Dir: t.TempDir()}
	for _, opt := range opts {
		opt(&o)
	}
	if o.Binary == "" {
		o.Binary = onPath(t)
	}
	return o
}

// launch starts a server that ends with the test.
func launch(t testing.TB, o redisserver.Options) (*redisserver.Server, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	srv, err := redisserver.Start(ctx, o)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the log of %s ends:\n%s", srv.Addr(), srv.LogTail())
		}
		// Nobody needs the data, and an orderly end takes 100 ms longer.
		srv.Kill()
	})
	return srv, nil
}

func onPath(t testing.TB) string {
	t.Helper()
	path, ok := redisserver.Find()
	if !ok {
		t.Fatal(install)
	}
	return path
}

// Client returns a new client of a server, closed with the test. Its commands
// are not retried (MaxRetries -1) and wait 30 s for their replies unless opts say
// otherwise.
func Client(t testing.TB, srv *redisserver.Server, opts ...func(*redis.Options)) *redis.Client {
	t.Helper()
	parsed, err := redis.ParseURL(srv.URL())
	if err != nil {
		t.Fatalf("redistest: %v", err)
	}
	login := func(o *redis.Options) {
		o.Password = parsed.Password
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout = answerWithin, answerWithin, answerWithin
	}
	return newClient(t, srv.Addr(), append([]func(*redis.Options){login}, opts...))
}

// newClient makes a client that does what it is told and nothing beside: no
// retries, and no commands of its own on connecting but HELLO.
func newClient(t testing.TB, addr string, opts []func(*redis.Options)) *redis.Client {
	t.Helper()
	o := &redis.Options{
		Addr:                     addr,
		MaxRetries:               -1,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	for _, opt := range opts {
		opt(o)
	}
	rdb := redis.NewClient(o)
	t.Cleanup(func() { _ = rdb.Close() }) // a test may have closed it already
	return rdb
}

// EachServer runs a subtest, with a server of its own, for the server on PATH
// and for each one that TIDEMILL_TEST_SERVERS names (path:path). The subtests
// bear the servers' versions as names.
func EachServer(t *testing.T, run func(t *testing.T, srv *redisserver.Server), opts ...Option) {
	t.Helper()
	eachBinary(t, func(t *testing.T, binary Option) { run(t, Server(t, append(slices.Clone(opts), binary)...)) })
}

// eachBinary runs EachServer's subtests without starting a server.
func eachBinary(t *testing.T, run func(t *testing.T, binary Option)) {
	t.Helper()
	paths := append([]string{onPath(t)}, filepath.SplitList(os.Getenv(serversEnv))...)
	for _, path := range paths {
		if path == "" {
			continue
		}
		t.Run(version(t, path), func(t *testing.T) { run(t, WithBinary(path)) })
	}
}

// version names a server program: "redis-7.0.15".
func version(t testing.TB, path string) string {
	t.Helper()
	out, err := exec.Command(path, "--version").Output()
	if err != nil {
		t.Fatalf("redistest: %s --version: %v (is %s right?)", path, err, serversEnv)
	}
	words := strings.Fields(string(out)) // Redis server v=7.0.15 sha=...
	for _, word := range words {
		if number, ok := strings.CutPrefix(word, "v="); ok {
			return strings.ToLower(words[0]) + "-" + number
		}
	}
	return filepath.Base(path)
}
