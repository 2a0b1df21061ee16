package conn

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"go.uber.org/goleak"
)

func raw(t testing.TB, set *Set) *Raw {
	t.Helper()
	r, err := set.Raw("subscription")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func dial(t testing.TB, r *Raw) net.Conn {
	t.Helper()
	c, err := r.Dial(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// ask sends a command and answers the first line of the reply.
func ask(t testing.TB, c net.Conn, cmd string) string {
	t.Helper()
	if _, err := io.WriteString(c, cmd+"\r\n"); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// quiet is a client that starts no goroutines of its own.
func quiet(t testing.TB, opt *redis.Options) *redis.Client {
	opt.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	rdb := redis.NewClient(opt)
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

func TestRaw(t *testing.T) {
	addr := startRedis(t, "user app on >pw ~* &* +@all -ping")
	set := open(t, "redis://"+addr+"/3", Config{MaxConnections: 10, ClientName: "raw"})
	r := raw(t, set)
	if left := set.Left(); left != 2 {
		t.Errorf("%d connections left of 3", left)
	}
	c := dial(t, r)
	if got := ask(t, c, "SET here 1"); got != "+OK" {
		t.Errorf("%q", got)
	}
	if n := set.Shared().Exists(t.Context(), "here").Val(); n != 1 {
		t.Error("it is in another database")
	}
	_, line, found := strings.Cut(plain(t, addr).ClientList(t.Context()).Val(), "name=raw:subscription ")
	if line, _, _ = strings.Cut(line, "\n"); !found || strings.Contains(line, "resp=3") {
		t.Errorf("%s", line)
	}
	// go-redis has left no deadline and reads nothing: a reply comes as late as it likes.
	if got := ask(t, c, "BLPOP nothing 0.2"); got != "*-1" {
		t.Errorf("%q", got)
	}
	r.Close()
	r.Close()
	if left := set.Left(); left != 3 {
		t.Errorf("%d connections left of 3 after closing twice", left)
	}

	// A user who may not ping has a connection all the same.
	if got := ask(t, dial(t, raw(t, open(t, "redis://"+addr, Config{}))), "ACL WHOAMI"); got != "$7" {
		t.Errorf("%q", got)
	}
	app := wrap(t, quiet(t, &redis.Options{Addr: addr, Username: "app", Password: "pw", Protocol: 3}), Config{ClientName: "x"})
	if got := ask(t, dial(t, raw(t, app)), "ACL WHOAMI"); got != "$3" {
		t.Errorf("%q", got)
	}

	_ = set.Close()
	if _, err := r.Dial(t.Context(), ""); !Closed(err) {
		t.Errorf("after the end of the Set: %v", err)
	}
	if _, err := set.Raw(""); !errors.Is(err, ErrConfig) {
		t.Errorf("without a name: %v", err)
	}
}

func TestRawFaults(t *testing.T) {
	addr := startRedis(t, "requirepass pw")
	before := goleak.IgnoreCurrent()
	for want, opt := range map[error]*redis.Options{
		ErrAuth:        {Addr: addr, Password: "other"},
		ErrUnavailable: {Addr: "127.0.0.1:1"},
	} {
		set := wrap(t, quiet(t, opt), Config{})
		if _, err := raw(t, set).Dial(t.Context(), ""); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	r := raw(t, wrap(t, quiet(t, &redis.Options{Addr: silent.Addr().String()}), Config{}))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := r.Dial(ctx, ""); !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no answer: %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := r.Dial(ctx, ""); !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnavailable) {
		t.Errorf("cancelled: %v", err)
	}
	goleak.VerifyNone(t, before)
}
