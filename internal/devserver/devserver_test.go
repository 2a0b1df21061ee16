package devserver

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
)

const soon = time.Minute

func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	t.Cleanup(cancel)
	return ctx
}

func dial(t *testing.T, s *Server) *redis.Client {
	t.Helper()
	opt, err := redis.ParseURL(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(opt)
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

func TestStartKeepsData(t *testing.T) {
	t.Parallel()
	base := filepath.Join(t.TempDir(), "a folder", `with "quotes"`)
	home := func() (string, error) { return base, nil }
	for i := range 2 {
		s, err := Start(bounded(t), home)
		if err != nil {
			t.Fatal(err)
		}
		if s.Embedded() || s.Dir != base {
			t.Fatalf("%q in %q", s.Program, s.Dir)
		}
		n, err := dial(t, s).Incr(t.Context(), "n").Result()
		if err != nil || n != int64(i+1) {
			t.Errorf("start %d: n is %d, %v", i, n, err)
		}
		if err := s.Stop(bounded(t)); err != nil {
			t.Fatal(err)
		}
		<-s.Done()
	}
	if info, err := os.Stat(base); err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("others can read the jobs: %v, %v", info.Mode(), err)
	}
}

func TestStartFails(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(bounded(t))
	cancel()
	base := t.TempDir()
	if _, err := Start(ctx, func() (string, error) { return base, nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	file := filepath.Join(base, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(bounded(t), func() (string, error) { return filepath.Join(file, "dev"), nil }); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a folder that cannot be made: %v", err)
	}
	homeless := errors.New("homeless")
	if _, err := Start(bounded(t), func() (string, error) { return "", homeless }); !errors.Is(err, homeless) {
		t.Errorf("got %v", err)
	}
	// The failed starts left nothing locked.
	f, err := claim(base)
	if err != nil || f.path != base {
		t.Fatalf("%v, %v", f, err)
	}
	f.release()
}

func TestFolderIsUsedByOne(t *testing.T) {
	t.Parallel()
	base := filepath.Join(t.TempDir(), "dev")
	var all []*folder
	for i := 1; i <= maxFolders; i++ {
		f, err := claim(base)
		if err != nil {
			t.Fatal(err)
		}
		want := base
		if i > 1 {
			want += "-" + strconv.Itoa(i)
		}
		if f.path != want || len(f.notes) != i-1 {
			t.Errorf("folder %d is %s, notes %q", i, f.path, f.notes)
		}
		all = append(all, f)
	}
	if _, err := claim(base); err == nil || !strings.Contains(err.Error(), "all in use") {
		t.Errorf("one too many: %v", err)
	}
	all[3].release()
	f, err := claim(base)
	if err != nil || f.path != base+"-4" {
		t.Errorf("%v, %v", f, err)
	}
	for _, f := range append(all, f) {
		f.release()
	}
}

// A server that outlived its parent keeps its folder, though nobody holds the lock.
func TestFolderOfAnOrphan(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	srv, err := redisserver.Start(bounded(t), redisserver.Options{Dir: base})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Kill)
	if err := (&folder{path: base}).occupy(srv.Addr()); err != nil {
		t.Fatal(err)
	}
	f, err := claim(base)
	if err != nil {
		t.Fatal(err)
	}
	if f.path != base+"-2" || len(f.notes) != 1 || !strings.Contains(f.notes[0], srv.Addr()) {
		t.Errorf("%s, notes %q", f.path, f.notes)
	}
	f.release()
	// The same address, with a server that works elsewhere.
	other := redistest.Server(t)
	if err := (&folder{path: base}).occupy(other.Addr()); err != nil {
		t.Fatal(err)
	}
	if f, err = claim(base); err != nil || f.path != base {
		t.Errorf("%v, %v", f, err)
	}
	f.release()
}

func TestStateFolder(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	state := t.TempDir()
	for env, want := range map[string]string{
		state:      filepath.Join(state, "tidemill", "dev"),
		"":         filepath.Join(home, ".local", "state", "tidemill", "dev"),
		"relative": filepath.Join(home, ".local", "state", "tidemill", "dev"),
	} {
		t.Setenv("XDG_STATE_HOME", env)
		if got, err := StateFolder(); err != nil || got != want {
			t.Errorf("XDG_STATE_HOME=%q: %s, %v; want %s", env, got, err, want)
		}
	}
	t.Setenv("HOME", "")
	t.Setenv("XDG_STATE_HOME", "")
	if _, err := StateFolder(); err == nil || !strings.Contains(err.Error(), "XDG_STATE_HOME") {
		t.Errorf("without a home: %v", err)
	}
}

func TestTaken(t *testing.T) {
	t.Parallel()
	// A port that was just free may be another program's by the time it is asked about: one in ten tries is enough.
	for range 10 {
		l, err := net.Listen("tcp", "0.0.0.0:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		if !taken(port) {
			t.Error("a port that is listened on counts as free")
		}
		_ = l.Close()
		if !taken(port) {
			return
		}
	}
	t.Error("free ports count as taken")
}

func TestEmbedded(t *testing.T) {
	t.Parallel()
	s, err := StartEmbedded("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if !s.Embedded() || s.Dir != "" || len(s.Notes) != 0 {
		t.Errorf("%+v", s)
	}
	if _, err := StartEmbedded(s.Addr); err == nil || !strings.Contains(err.Error(), s.Addr) {
		t.Errorf("an address that is taken: %v", err)
	}
	rdb := dial(t, s)
	if err := rdb.Set(t.Context(), "key", 1, 1500*time.Millisecond).Err(); err != nil {
		t.Fatal(err)
	}
	redistest.WaitFor(t, soon, func() bool { return rdb.Exists(t.Context(), "key").Val() == 0 }, "the key to expire")
	blocked := make(chan error, 1)
	go func() { blocked <- rdb.BLPop(context.Background(), 0, "nothing").Err() }()
	redistest.WaitFor(t, soon, func() bool { return rdb.PoolStats().TotalConns > rdb.PoolStats().IdleConns }, "a blocked client")
	for range 2 {
		if err := s.Stop(bounded(t)); err != nil {
			t.Fatal(err)
		}
	}
	<-s.Done()
	if err := <-blocked; err == nil {
		t.Error("a blocked client is not told")
	}
}

func TestEmbeddedOnAllAddresses(t *testing.T) {
	t.Parallel()
	s, err := StartEmbedded(":0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Stop(bounded(t)) }()
	if len(s.Notes) != 1 || !strings.Contains(s.Notes[0], "no password") {
		t.Errorf("notes: %q", s.Notes)
	}
	if !strings.HasPrefix(s.Addr, "127.0.0.1:") || dial(t, s).Ping(t.Context()).Err() != nil {
		t.Errorf("nobody answers at %s", s.Addr)
	}
}
