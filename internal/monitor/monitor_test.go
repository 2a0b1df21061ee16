package monitor

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/pubsub/pubsubtest"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

func listen(t *testing.T) *Server {
	t.Helper()
	s, err := Listen("127.0.0.1:0", zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// ask makes a request and answers status, headers and body.
func ask(t *testing.T, s *Server, method, path, accept string) (int, http.Header, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.Addr()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", accept)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(body)
}

// watched is a server of a worker that has not been run.
func watched(t *testing.T) *Server {
	t.Helper()
	s := listen(t)
	client, err := queue.New(redistest.Embedded(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	w, err := worker.New(client, worker.NewMux(), worker.Config{Queues: []worker.Queue{{Name: "a"}, {Name: "b"}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Watch(client, w); err != nil {
		t.Fatal(err)
	}
	if err := s.WatchMessages(pubsubtest.Client(t)); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAnswers(t *testing.T) {
	bare, with := listen(t), watched(t)
	for _, c := range []struct {
		s            *Server
		method, path string
		accept       string
		code         int
		body         string // what it contains
	}{
		{bare, "GET", "/livez", "", 200, "alive\n"},
		{bare, "GET", "/livez", "application/json", 200, `{"alive":true}`},
		{bare, "GET", "/readyz", "", 503, "not ready\nstarting: it is not connected to Redis yet\n"},
		{bare, "GET", "/readyz?verbose", "", 503, `"reasons":["starting: it is not connected to Redis yet"],"heartbeat_age_ms":null`},
		{bare, "GET", "/metrics", "", 200, "go_goroutines"},
		{bare, "HEAD", "/readyz", "", 503, ""},
		{bare, "POST", "/readyz", "", 405, "only GET and HEAD"},
		{bare, "GET", "/", "", 404, `there is no "/" here; there is`},
		{bare, "GET", "/healthz", "", 404, "/livez "},
		{bare, "GET", "/metrics/x", "", 404, "/metrics "},
		{with, "GET", "/readyz", "text/html, application/json;q=0.9", 503, `"phase":"starting"`},
		{with, "GET", "/readyz?verbose=1", "", 503, `"queues":[{"name":"a","ready":false,"paused":false,"running":0,"buffered":0},{"name":"b"`},
		{with, "GET", "/metrics", "", 200, `tidemill_queue_jobs{queue="b",state="dead"} 0`},
		{with, "GET", "/metrics", "", 200, "tidemill_pubsub_received_messages_total 0"},
	} {
		code, header, body := ask(t, c.s, c.method, c.path, c.accept)
		if code != c.code || !strings.Contains(body, c.body) || c.method == "HEAD" && body != "" {
			t.Errorf("%s %s: %d %q, want %d with %q", c.method, c.path, code, body, c.code, c.body)
		}
		if header.Get("Cache-Control") != "no-store" || (code == 405) != (header.Get("Allow") == "GET, HEAD") {
			t.Errorf("%s %s: headers %v", c.method, c.path, header)
		}
	}
}

func TestListenFaults(t *testing.T) {
	s := listen(t)
	if _, err := Listen(s.Addr(), zerolog.Nop()); err == nil || !strings.HasPrefix(err.Error(), s.Addr()+" is taken: another program listens there (") {
		t.Errorf("a port that is taken: %v", err)
	}
	if _, err := Listen("192.0.2.1:9090", zerolog.Nop()); err == nil || !strings.HasPrefix(err.Error(), "cannot listen on 192.0.2.1:9090: ") {
		t.Errorf("an address of another machine: %v", err)
	}
}

// After Close nobody listens, and a nil server can be used like one.
func TestClose(t *testing.T) {
	s := listen(t)
	s.Close()
	s.Close()
	if conn, err := net.DialTimeout("tcp", s.Addr(), time.Second); err == nil {
		conn.Close()
		t.Error("somebody still listens")
	}
	var none *Server
	none.Close()
	if err := errors.Join(none.Watch(nil, nil), none.WatchMessages(nil)); err != nil {
		t.Error(err)
	}
}

func TestReachable(t *testing.T) {
	for addr, want := range map[string]string{":9090": "127.0.0.1:9090", "0.0.0.0:1": "127.0.0.1:1", "[::]:2": "[::1]:2",
		"127.0.0.1:3": "127.0.0.1:3", "worker.internal:4": "worker.internal:4", "[::1]:5": "[::1]:5", "odd": "odd"} {
		if got := Reachable(addr); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
}

func TestAsk(t *testing.T) {
	s := watched(t)
	a, err := Ask(t.Context(), "http://"+s.Addr()+"/", false)
	if err != nil || a.OK || a.Phase != "starting" || len(a.Reasons) != 1 || !json.Valid(a.Body) {
		t.Errorf("%+v, %v", a, err)
	}
	if a, err = Ask(t.Context(), "http://"+s.Addr(), true); err != nil || !a.OK {
		t.Errorf("alive: %+v, %v", a, err)
	}
	for name, handler := range map[string]http.HandlerFunc{
		"text":       func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) },
		"other JSON": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"status":"up"}`)) },
		"not found":  http.NotFound,
		"elsewhere": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://"+s.Addr()+"/readyz", http.StatusFound)
		},
	} {
		stranger := httptest.NewServer(handler)
		defer stranger.Close()
		if a, err := Ask(t.Context(), stranger.URL, false); err == nil || !strings.Contains(err.Error(), "is no worker of this kind") {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
	s.Close()
	if _, err := Ask(t.Context(), "http://"+s.Addr(), false); err == nil || !strings.Contains(err.Error(), "no worker answers at http://"+s.Addr()+"/readyz: ") {
		t.Errorf("nobody: %v", err)
	}
	deaf, err := net.Listen("tcp", "127.0.0.1:0") // accepts and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Ask(ctx, "http://"+deaf.Addr().String(), false); err == nil || !strings.Contains(err.Error(), "no answer in time") {
		t.Errorf("one that says nothing: %v", err)
	}
}
