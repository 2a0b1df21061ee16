package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tidemill/tidemill/internal/conn"
	"github.com/tidemill/tidemill/queue"
)

func TestAddressAndRedact(t *testing.T) {
	for _, c := range []struct{ url, address, redacted string }{
		{"redis://127.0.0.1:6379/0", "127.0.0.1:6379", "redis://127.0.0.1:6379/0"},
		{"redis://", "localhost:6379", "redis:"},
		{"redis://:secret@db:7000/2", "db:7000", "redis://:***@db:7000/2"},
		{"rediss://user:s%40cret@db", "db:6379", "rediss://user:***@db"},
		{"redis://user@db", "db:6379", "redis://user@db"},
		{"redis://[::1]:7000", "[::1]:7000", "redis://[::1]:7000"},
		{"unix:///run/redis.sock?db=1", "/run/redis.sock", "unix:///run/redis.sock?db=1"},
		{"unix://:secret@/run/redis.sock", "/run/redis.sock", "unix://:***@/run/redis.sock"},
		{"redis+sentinel://u:secret@a,b:7000/mymaster/2?sentinel_password=secret", "a:26379,b:7000 (Sentinel, mymaster)",
			"redis+sentinel://u:***@a,b:7000/mymaster/2?sentinel_password=***"},
		{"rediss+cluster://:secret@a:1,[::1]:2", "a:1,[::1]:2 (Cluster)", "rediss+cluster://:***@a:1,[::1]:2"},
		{"redis+cluster://a", "a:6379 (Cluster)", "redis+cluster://a"},
		// Whatever cannot be read safely is not shown.
		{"redis+cluster://:se/cret@a,b", "the Redis URL", "redis+cluster://***"},
		{"redis+sentinel://a,b/m?sentinel_password=x@secret", "the Redis URL", "redis+sentinel://***"},
		{"redis://:se/cret@db", "the Redis URL", "redis://***"},
		{"redis://:se#cret@db", "the Redis URL", "redis://***"},
		{"redis://:se?cret@db", "the Redis URL", "redis://***"},
		{"redis://:se%cret@db", "the Redis URL", "redis://***"},
		{":secret@db", "the Redis URL", "***"},
	} {
		if got := Address(c.url); got != c.address {
			t.Errorf("Address(%s) = %s, want %s", c.url, got, c.address)
		}
		if got := Redact(c.url); got != c.redacted {
			t.Errorf("Redact(%s) = %s, want %s", c.url, got, c.redacted)
		}
		if got := Redact(c.url) + Address(c.url); strings.Contains(got, "cret") {
			t.Errorf("%s: %s shows a part of the password", c.url, got)
		}
	}
}

// A URL without its scheme is shown with the one that was meant, unless there may be a password in it.
func TestNoScheme(t *testing.T) {
	const forms = `: it has no "://"; want redis://[user:password@]host[:port][/db], or another scheme: rediss, unix, redis+sentinel, redis+cluster`
	for url, want := range map[string]string{
		"localhost:7600":       `--redis "localhost:7600": it has no "://"; did you mean redis://localhost:7600?`,
		"10.0.0.1/2":           `--redis "10.0.0.1/2": it has no "://"; did you mean redis://10.0.0.1/2?`,
		"[::1]:7000":           `--redis "[::1]:7000": it has no "://"; did you mean redis://[::1]:7000?`,
		"/run/redis.sock":      `--redis "/run/redis.sock": it has no "://"; did you mean unix:///run/redis.sock?`,
		":s3cret@db:7000":      "--redis" + forms,
		"user:s3cret@db":       "--redis" + forms,
		"/s3cret@db":           "--redis" + forms,
		"user:s3cret":          "--redis" + forms,
		":s3cret":              "--redis" + forms,
		"redis:/u:s3cret@db:1": "--redis" + forms,
		"redis://localhost":    "",
	} {
		conn, err := connection("--redis", url)
		if err != nil {
			t.Fatal(err)
		}
		err = conn.Check()
		if got := fmt.Sprint(err); err == nil && want != "" || err != nil && got != want || err != nil && Report(io.Discard, "x", err) != CodeUsage {
			t.Errorf("%s: %v\nwant %s", url, err, want)
		}
	}
}

func TestWriteHours(t *testing.T) {
	for text, want := range map[string]string{
		"1d": "24h", "2w": "336h", "1d12h": "36h", "1d30m5s": "24h30m5s", "9999d": "239976h", "9999w": "1679832h",
		"d": "", "1.5d": "", "-1d": "", "1day": "", "1d 2h": "", "1d2d": "", "90s": "", "5": "", "100000d": "", "1d99999999999h": "",
		"1d99999999999999m": "",
	} {
		if want != "" {
			want = "for " + text + " write " + want
		}
		if got := WriteHours(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"queue", "max_attempts", "in", "id", "at", "expire_in", "expire_at"}
	for typed, want := range map[string]string{
		"qeue": "queue", "queues": "queue", "Queue": "queue", "maxAttempts": "max_attempts", "max-attempts": "max_attempts",
		"max_attempt": "max_attempts", "i": "in", "expire": "expire_in", "expire_inn": "expire_in", "di": "id",
		"url": "", "": "", "frobnicate": "", "queueueue": "",
	} {
		if got := Nearest(typed, names); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", typed, got, want)
		}
	}
}

func TestUnreachable(t *testing.T) {
	refused := fmt.Errorf("redis: %w", &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)})
	unknown := &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "db"}}
	late := &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}
	for _, c := range []struct {
		from string
		err  error
		want string
	}{
		{FromDefault, refused, "nothing answers at db:6379 (connection refused); start one with: worker dev"},
		{FromFlag, unknown, "nothing answers at db:6379 (no such host); start one on this machine with: worker dev"},
		{FromEnv, late, "nothing answers at db:6379 (timed out); start one on this machine with: worker dev (and REDIS_URL unset)"},
		{FromDefault, context.DeadlineExceeded, "nothing answers at db:6379 (timed out); start one with: worker dev"},
		{FromDefault, errors.New("LOADING Redis is loading"), "LOADING Redis is loading"},
		{FromFlag, errors.New("NOPERM no"), "NOPERM no; docs/topologies.md has the ACL rules that are enough"},
		{FromFlag, &net.OpError{Op: "dial", Err: fmt.Errorf("%w: %w", conn.ErrNoTLS, context.DeadlineExceeded)},
			"db:6379 takes connections, but does not answer with TLS (the handshake timed out); if it is a plain server, use redis://"},
		{FromFlag, &net.OpError{Op: "dial", Err: fmt.Errorf("%w: %w", conn.ErrNoTLS, io.EOF)},
			"db:6379 takes connections, but does not answer with TLS (it broke the handshake off); if it is a plain server, use redis://"},
		{FromFlag, &net.OpError{Op: "remote error", Err: errors.New("bad certificate")}, "remote error: bad certificate"},
		{FromFlag, &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, "read: read: connection reset by peer"},
	} {
		err := &Unreachable{Addr: "db:6379", From: c.from, Err: c.err}
		if err.Error() != c.want || !errors.Is(err, c.err) {
			t.Errorf("%v\nwant %s", err, c.want)
		}
	}
	// Of several servers the error says which are silent.
	err := &Unreachable{Addr: "a:6379,b:6379 (Cluster)", From: FromFlag, Err: refused}
	if err.Error() != refused.Error() {
		t.Errorf("%v", err)
	}
}

func connection(args ...string) (*Connection, error) {
	var c Connection
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	c.AddFlags(flags)
	return &c, flags.Parse(args)
}

func TestConnectionPrecedence(t *testing.T) {
	for _, c := range []struct {
		args                 []string
		redis, space         string // environment
		url, from, namespace string
	}{
		{nil, "", "", queue.DefaultURL, FromDefault, ""},
		{nil, "redis://env", "env", "redis://env", FromEnv, "env"},
		{[]string{"--redis", "redis://flag", "--namespace=flag"}, "redis://env", "env", "redis://flag", FromFlag, "flag"},
		{[]string{"--redis", queue.DefaultURL}, "redis://env", "", queue.DefaultURL, FromFlag, ""},
	} {
		t.Setenv(EnvRedis, c.redis)
		t.Setenv(EnvNamespace, c.space)
		conn, err := connection(c.args...)
		if err != nil {
			t.Fatal(err)
		}
		if url, from := conn.URL(); url != c.url || from != c.from || conn.Namespace() != c.namespace || conn.Check() != nil {
			t.Errorf("%v: %s from %s, namespace %q, %v", c.args, url, from, conn.Namespace(), conn.Check())
		}
	}
	t.Setenv(EnvNamespace, "a b")
	if conn, err := connection(); err != nil || conn.Check() == nil || !strings.HasPrefix(conn.Check().Error(), EnvNamespace+": ") {
		t.Errorf("%v, %v", err, conn.Check())
	}
	for _, args := range [][]string{{"--redis", ""}, {"--namespace="}, {"--namespace=a b"}} {
		conn, err := connection(args...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Open(t.Context(), queue.Config{}); err == nil || Report(&bytes.Buffer{}, "x", err) != CodeUsage {
			t.Errorf("%v: %v", args, err)
		}
	}
}

func TestOpenEndsWithItsContext(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	conn, err := connection("--redis", "redis://"+silent.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(&SignalError{syscall.SIGINT})
	_, err = conn.Open(ctx, queue.Config{})
	if code := Report(&bytes.Buffer{}, "x", err); code != 130 {
		t.Errorf("exit code %d for %v", code, err)
	}
}

// Exit codes of everything a command may return, and what is printed of it.
func TestRun(t *testing.T) {
	fault := errors.New("it broke")
	for _, c := range []struct {
		name string
		args []string
		err  error
		code int
		want string
	}{
		{"fine", nil, nil, 0, ""},
		{"bare error", nil, fault, 1, "prog: it broke\n"},
		{"usage", nil, Usagef("bad %s", "word"), 2, "prog: bad word\nsee 'prog --help'\n"},
		{"exit code", nil, &Exit{Code: 75, Err: fault}, 75, "prog: it broke\n"},
		{"exit code of a usage error", nil, &Exit{Code: 9, Err: Usage(fault)}, 9, "prog: it broke\n"},
		{"said already", nil, &Exit{Code: 1}, 1, ""},
		{"interrupted", nil, &SignalError{syscall.SIGINT}, 130, "prog: interrupted\n"},
		{"terminated", nil, fmt.Errorf("while reading: %w", &SignalError{syscall.SIGTERM}), 143, "prog: while reading: terminated\n"},
		{"unknown flag", []string{"--colour"}, nil, 2, "prog: unknown flag: --colour (did you mean --color?)\nsee 'prog --help'\n"},
		{"too many args", []string{"a"}, nil, 2, "prog: unknown command \"a\" for \"prog\"\nsee 'prog --help'\n"},
		{"duration in days", []string{"--drain", "2d"}, nil, 2, "prog: invalid argument \"2d\" for \"--drain\" flag: \"2d\" is not a duration: " +
			"want a number and its unit, such as 90s or 1h30m; for 2d write 48h\nsee 'prog --help'\n"},
		{"no duration", []string{"--drain", "soon"}, nil, 2, "prog: invalid argument \"soon\" for \"--drain\" flag: \"soon\" is not a duration: " +
			"want a number and its unit, such as 90s or 1h30m\nsee 'prog --help'\n"},
		{"no number", []string{"--most", "x"}, nil, 2, "prog: invalid argument \"x\" for \"--most\" flag: want a whole number\nsee 'prog --help'\n"},
		{"huge number", []string{"--most", "99999999999999999999"}, nil, 2, "prog: invalid argument \"99999999999999999999\" for \"--most\" flag: " +
			"out of range\nsee 'prog --help'\n"},
		{"unknown flag below", []string{"sub", "--x"}, nil, 2, "prog: unknown flag: --x\nsee 'prog sub --help'\n"},
		{"too many args below", []string{"sub", "a", "b"}, nil, 2, "prog: accepts at most 1 arg(s), received 2\nsee 'prog sub --help'\n"},
		{"usage below", []string{"sub"}, Usage(fault), 2, "prog: it broke\nsee 'prog sub --help'\n"},
		{"error below", []string{"sub"}, fault, 1, "prog: it broke\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			run := func(*cobra.Command, []string) error { return c.err }
			root := &cobra.Command{Use: "prog", Args: cobra.NoArgs, RunE: run}
			root.Flags().Bool("color", false, "")
			root.Flags().Duration("drain", 0, "")
			root.Flags().Int("most", 0, "")
			root.AddCommand(&cobra.Command{Use: "sub", Args: cobra.MaximumNArgs(1), RunE: run})
			var stderr bytes.Buffer
			root.SetErr(&stderr)
			root.SetArgs(append([]string{}, c.args...))
			if code := Run(t.Context(), root); code != c.code || stderr.String() != c.want {
				t.Errorf("exit code %d, want %d; stderr:\n%s\nwant:\n%s", code, c.code, stderr.String(), c.want)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	version = "v1.2.3"
	defer func() { version = "" }()
	root := &cobra.Command{Use: "prog", RunE: func(*cobra.Command, []string) error { return nil }}
	var stdout bytes.Buffer
	root.SetOut(&stdout)
	root.SetArgs([]string{"--version"})
	if code := Run(t.Context(), root); code != 0 || !strings.HasPrefix(stdout.String(), "prog v1.2.3 (go1.") {
		t.Errorf("%d, %q", code, stdout.String())
	}
	if version = ""; strings.HasPrefix(Version(), " ") {
		t.Errorf("no name: %q", Version())
	}
}

func TestWarnings(t *testing.T) {
	var out bytes.Buffer
	log := Warnings(&out, "prog")
	log.Info().Msg("not for people")
	log.Warn().Str("field", "x").Msg("the server hides its version")
	if want := "prog: warning: the server hides its version field=x\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}
