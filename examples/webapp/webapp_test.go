package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
)

const soon = time.Minute

// service is the program under test, over HTTP.
type service struct {
	t    *testing.T
	url  string
	stop func() error
}

// start runs the program against a server of its own.
func start(t *testing.T, srv *redisserver.Server, send mailer) *service {
	t.Helper()
	return startWith(t, srv, send, soon)
}

func startWith(t *testing.T, srv *redisserver.Server, send mailer, patience time.Duration) *service {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ready, done := make(chan string, 1), make(chan error, 1)
	go func() {
		done <- run(ctx, config{listen: "127.0.0.1:0", redis: srv.URL(), serve: true, patience: patience, work: send != nil, mailer: send,
			log: zerolog.New(io.Discard), ready: func(addr string) { ready <- addr }})
	}()
	s := &service{t: t, stop: sync.OnceValue(func() error { cancel(); return <-done })}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Errorf("run: %v", err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	select {
	case addr := <-ready:
		s.url = "http://" + addr
	case err := <-done:
		t.Fatal(err)
	}
	return s
}

// ask makes a request and checks its status.
func (s *service) ask(want int, method, path, key string, body io.Reader) (message, http.Header) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != want {
		s.t.Errorf("%s %s: %s %s, want %d; %v", method, path, response.Status, text, want, err)
	}
	var m message
	_ = json.Unmarshal(text, &m) // the answers of net/http itself are plain text
	return m, response.Header
}

func (s *service) signup(want int, key string) (message, http.Header) {
	s.t.Helper()
	return s.ask(want, "POST", "/signup", key, strings.NewReader(`{"email":"ann@example.com"}`))
}

// awaitState asks for a job until it is in a state.
func (s *service) awaitState(id, want string) (m message) {
	s.t.Helper()
	if id == "" {
		s.t.FailNow()
	}
	redistest.WaitFor(s.t, soon, func() bool {
		m, _ = s.ask(http.StatusOK, "GET", "/jobs/"+id, "", nil)
		return m.State == want
	}, "job "+id+" to be "+want)
	return m
}

func TestSignupToMail(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		mails := make(chan string, 10)
		fails := 1
		s := start(t, srv, func(_ context.Context, to string) error {
			if fails--; fails >= 0 {
				return errors.New("smtp: 451 try again")
			}
			mails <- to
			return nil
		})
		m, header := s.signup(http.StatusAccepted, "")
		if m.ID == "" || header.Get("Location") != "/jobs/"+m.ID {
			t.Errorf("%+v, Location %q", m, header.Get("Location"))
		}
		done := s.awaitState(m.ID, "succeeded")
		if done.Kind != "email.welcome" || done.Result != "sent" || done.Error != "smtp: 451 try again" || <-mails != "ann@example.com" {
			t.Errorf("%+v", done)
		}
		bad, _ := s.ask(http.StatusAccepted, "POST", "/signup", "", strings.NewReader(`{"email":"nobody"}`))
		if dead := s.awaitState(bad.ID, "dead"); dead.Error != "not an address" || dead.Attempts != 1 {
			t.Errorf("%+v", dead)
		}
	})
}

func TestIdempotencyKey(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		mails := make(chan string, 10)
		s := start(t, srv, func(_ context.Context, to string) error { mails <- to; return nil })
		first, _ := s.signup(http.StatusAccepted, "k1")
		for range 2 { // while it is there, and when it is done
			again, header := s.signup(http.StatusConflict, "k1")
			if again.ID != first.ID || header.Get("Location") != "/jobs/"+first.ID {
				t.Errorf("%+v, first %+v", again, first)
			}
			s.awaitState("signup:k1", "succeeded")
		}
		if other, _ := s.signup(http.StatusAccepted, "k2"); other.ID == first.ID {
			t.Error("another key is another job")
		}
		s.awaitState("signup:k2", "succeeded")
		if len(mails) != 2 {
			t.Errorf("%d mails", len(mails))
		}
	})
}

func TestBadRequests(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		s := start(t, srv, nil)
		for _, body := range []string{"", "{", `{"email":""}`, `[]`, `{"email":"` + strings.Repeat("x", maxBody) + `"}`} {
			s.ask(http.StatusBadRequest, "POST", "/signup", "", strings.NewReader(body))
		}
		s.ask(http.StatusBadRequest, "POST", "/signup", strings.Repeat("k", 300), strings.NewReader(`{"email":"a@b"}`))
		s.ask(http.StatusNotFound, "GET", "/jobs/none", "", nil)
		s.ask(http.StatusBadRequest, "GET", "/jobs/"+strings.Repeat("x", 300), "", nil)
		s.ask(http.StatusMethodNotAllowed, "GET", "/signup", "", nil)
	})
}

func TestRedisFullAndAway(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		s, admin := start(t, srv, nil), redistest.Client(t, srv)
		s.signup(http.StatusAccepted, "")
		admin.ConfigSet(t.Context(), "maxmemory", "1")
		if _, header := s.signup(http.StatusServiceUnavailable, "k"); header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		s.ask(http.StatusOK, "GET", "/healthz", "", nil)
		admin.ConfigSet(t.Context(), "maxmemory", "0")
		s.signup(http.StatusAccepted, "k")
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
		const patience = 3 * time.Second
		s = startWith(t, srv, nil, patience)
		srv.Kill()
		began := time.Now()
		s.signup(http.StatusServiceUnavailable, "k2")
		s.ask(http.StatusServiceUnavailable, "GET", "/jobs/x", "", nil)
		s.ask(http.StatusServiceUnavailable, "GET", "/healthz", "", nil)
		if took := time.Since(began); took > 3*patience+20*time.Second {
			t.Errorf("three requests took %v", took)
		}
	})
}

// TestShutdown: a request that is under way is answered, its job is there, and nothing is left of the program.
func TestShutdown(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		before := goleak.IgnoreCurrent()
		s := start(t, srv, func(context.Context, string) error { return nil })
		const body = `{"email":"ann@example.com"}`
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		answers := bufio.NewReader(conn)
		fmt.Fprintf(conn, "POST /signup HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", len(body))
		if line, err := answers.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
			t.Fatalf("the handler does not read the body: %q, %v", line, err)
		}
		stopped := make(chan error, 1)
		go func() { stopped <- s.stop() }()
		redistest.WaitFor(t, soon, func() bool {
			another, err := net.Dial("tcp", conn.RemoteAddr().String())
			if err == nil {
				another.Close()
			}
			return err != nil
		}, "the service to refuse connections")
		fmt.Fprint(conn, body)
		if rest, err := io.ReadAll(answers); err != nil || !strings.Contains(string(rest), "202 Accepted") {
			t.Errorf("%q, %v", rest, err)
		}
		if err := <-stopped; err != nil {
			t.Errorf("run: %v", err)
		}
		admin := redistest.Client(t, srv)
		if n := admin.HLen(t.Context(), "tm:{mail}:jobs").Val(); n != 1 {
			t.Errorf("%d jobs", n)
		}
		redistest.WaitFor(t, soon, func() bool { return !strings.Contains(admin.ClientList(t.Context()).Val(), "name=tidemill") }, "the connections to end")
		_ = admin.Close()
		http.DefaultClient.CloseIdleConnections()
		if err := goleak.Find(before); err != nil {
			t.Error(err)
		}
	})
}

// TestOneClientForAll: requests share connections and calls.
func TestOneClientForAll(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		s, admin := start(t, srv, nil), redistest.Client(t, srv)
		var group sync.WaitGroup
		for range 200 {
			group.Go(func() { s.signup(http.StatusAccepted, "") })
		}
		group.Wait()
		if n := strings.Count(admin.ClientList(t.Context()).Val(), "name=tidemill"); n < 1 || n > 5 {
			t.Errorf("%d connections for 200 requests", n)
		}
		if n := admin.HLen(t.Context(), "tm:{mail}:jobs").Val(); n != 200 {
			t.Errorf("%d jobs", n)
		}
	})
}

// TestNoRedisAtStart: the program ends with the reason.
func TestNoRedisAtStart(t *testing.T) {
	err := run(t.Context(), config{redis: "redis://127.0.0.1:1", serve: true, log: zerolog.New(os.Stderr)})
	if err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Error(err)
	}
}
