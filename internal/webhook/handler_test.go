package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/queue"
)

const (
	parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	state  = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"
)

func TestRequest(t *testing.T) {
	srv, got := record(t, nil)
	job := newJob(func(i *queue.Info) {
		i.Meta = map[string]string{"traceparent": parent, "tracestate": state, "who": "me"}
	})
	h := newTest(t, Config{URL: srv.URL + "/hooks?a=b", Headers: map[string]string{"x-tenant": "7"}, Bearer: []byte("tok")})
	if err := handle(t, h, job); err != nil {
		t.Fatal(err)
	}
	r := <-got
	if r.Method != "POST" || r.RequestURI != "/hooks?a=b" || string(r.body) != payload || r.ContentLength != int64(len(payload)) {
		t.Errorf("%s %s %q (%d)", r.Method, r.RequestURI, r.body, r.ContentLength)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json", "User-Agent": "tidemill", "Idempotency-Key": job.ID.String(), "Tidemill-Kind": "hook.paid",
		"Tidemill-Queue": "hooks", "Tidemill-Attempt": "3", "Traceparent": parent, "Tracestate": state, "X-Tenant": "7",
		"Authorization": "Bearer tok", "Content-Length": "8",
	} {
		if got := r.Header.Values(name); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
		delete(r.Header, name)
	}
	if len(r.Header) > 0 {
		t.Errorf("further headers: %v", r.Header)
	}
}

func TestRequestHeaders(t *testing.T) {
	for name, c := range map[string]struct {
		edit   func(*queue.Info)
		config Config
		want   map[string]string // "" = not there
	}{
		"encoding":     {func(i *queue.Info) { i.Encoding = "cbor" }, Config{}, map[string]string{"Content-Type": "application/octet-stream", "Tidemill-Encoding": "cbor"}},
		"odd encoding": {func(i *queue.Info) { i.Encoding = "a\nb" }, Config{}, map[string]string{"Content-Type": "application/octet-stream", "Tidemill-Encoding": ""}},
		"own type":     {nil, Config{Headers: map[string]string{"content-type": "application/cloudevents+json"}}, map[string]string{"Content-Type": "application/cloudevents+json"}},
		"own agent":    {nil, Config{UserAgent: "tidemill/v1", Headers: map[string]string{"user-agent": "me/1"}}, map[string]string{"User-Agent": "me/1"}},
		"agent":        {nil, Config{UserAgent: "tidemill/v1 (x)"}, map[string]string{"User-Agent": "tidemill/v1 (x)"}},
		"kind":         {func(i *queue.Info) { i.Kind = "Bücher.neu" }, Config{}, map[string]string{"Tidemill-Kind": "Bücher.neu"}},
		"no trace":     {nil, Config{}, map[string]string{"Traceparent": "", "Tracestate": ""}},
		"no parent":    {func(i *queue.Info) { i.Meta = map[string]string{"tracestate": state} }, Config{}, map[string]string{"Tracestate": ""}},
		"odd state": {func(i *queue.Info) { i.Meta = map[string]string{"traceparent": parent, "tracestate": "a\r\nHost: b"} }, Config{},
			map[string]string{"Traceparent": parent, "Tracestate": ""}},
	} {
		srv, got := record(t, nil)
		c.config.URL = srv.URL
		job := newJob()
		if c.edit != nil {
			c.edit(&job.Info)
		}
		if err := handle(t, newTest(t, c.config), job); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		r := <-got
		for header, want := range c.want {
			if got := r.Header.Get(header); got != want {
				t.Errorf("%s: %s is %q, want %q", name, header, got, want)
			}
		}
	}
}

func TestTraceparent(t *testing.T) {
	for value, want := range map[string]bool{
		parent: true,
		"01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more": true,
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more": false,
		"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01":      false,
		"00-00000000000000000000000000000000-b7ad6b7169203331-01":      false,
		"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01":      false,
		"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01":      false,
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331":         false,
		parent + "\n": false,
		"01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-a\rb": false,
		"": false,
	} {
		header := http.Header{}
		trace(header, map[string]string{"traceparent": value, "tracestate": state})
		if got := header.Get("traceparent") != "" && header.Get("tracestate") != ""; got != want {
			t.Errorf("%q: passed on is %v, want %v", value, got, want)
		}
	}
}

func TestResult(t *testing.T) {
	for name, c := range map[string]struct {
		config Config
		answer string
		want   string
		cut    bool
	}{
		"empty":          {Config{}, "", "", false},
		"short":          {Config{}, `{"ok":true}`, `{"ok":true}`, false},
		"binary":         {Config{}, "\x00\xff", "\x00\xff", false},
		"just fits":      {Config{}, strings.Repeat("x", 64<<10), strings.Repeat("x", 64<<10), false},
		"too long":       {Config{}, strings.Repeat("x", 64<<10+1), strings.Repeat("x", 64<<10), true},
		"less allowed":   {Config{MaxResult: 3}, "abcd", "abc", true},
		"less just fits": {Config{MaxResult: 3}, "abc", "abc", false},
	} {
		srv := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, c.answer) })
		c.config.URL = srv.URL
		var log bytes.Buffer
		job := newJob()
		err := newTest(t, c.config).Handle(zerolog.New(&log).WithContext(context.Background()), job)
		if err != nil || string(job.Result()) != c.want {
			t.Errorf("%s: %v, result of %d bytes %.20q", name, err, len(job.Result()), job.Result())
		}
		if cut := strings.Contains(log.String(), "the rest was cut off"); cut != c.cut {
			t.Errorf("%s: log %q", name, log.String())
		}
	}
}

func TestRefusal(t *testing.T) {
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "172800")
		w.WriteHeader(503)
		fmt.Fprint(w, strings.Repeat("no", 1000))
	})
	var log bytes.Buffer
	err := newTest(t, Config{URL: srv.URL + "/secret/path"}).Handle(zerolog.New(&log).WithContext(context.Background()), newJob())
	var after *queue.RetryAfterError
	var output *queue.OutputError
	if !errors.As(err, &after) || after.After != MaxRetryAfter || !errors.As(err, &output) || len(output.Output) != 1<<10 {
		t.Errorf("%#v", err)
	}
	if err.Error() != srv.URL+" answered 503 Service Unavailable" {
		t.Errorf("text: %v", err)
	}
	if !strings.Contains(log.String(), `"retry_after":"172800"`) || !strings.Contains(log.String(), "longer wait than is allowed") {
		t.Errorf("log: %s", log.String())
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	second, got := record(t, nil)
	first := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, second.URL, http.StatusTemporaryRedirect)
	})
	err := handle(t, newTest(t, Config{URL: first.URL}), newJob())
	var dead *queue.DeadError
	if !errors.As(err, &dead) || !strings.Contains(err.Error(), second.URL) {
		t.Errorf("%v", err)
	}
	if len(got) != 0 {
		t.Error("the redirect was followed")
	}
}

// TestContextEnds: whatever ends the attempt ends the request at once, on the receiver's side too.
func TestContextEnds(t *testing.T) {
	for _, cause := range []error{queue.ErrCancelled, queue.ErrDraining, queue.ErrTimeout, queue.ErrSessionLost} {
		arrived, left := make(chan struct{}), make(chan struct{})
		srv := serve(t, func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // or the server does not look whether the other side is there
			close(arrived)
			<-r.Context().Done()
			close(left)
		})
		h := newTest(t, Config{URL: srv.URL, MaxPerHost: 1})
		ctx, cancel := context.WithCancelCause(context.Background())
		got := make(chan error)
		go func() { got <- h.Handle(ctx, newJob()) }()
		<-arrived
		// A second one waits for the place.
		waits := make(chan error)
		go func() { waits <- h.Handle(ctx, newJob()) }()
		cancel(cause)
		if err := <-got; !errors.Is(err, cause) {
			t.Errorf("%v: %v", cause, err)
		}
		err := <-waits
		var snooze *queue.SnoozeError
		if ok := errors.Is(err, cause); ok == errors.Is(cause, queue.ErrTimeout) || !ok && !errors.As(err, &snooze) {
			t.Errorf("%v, waiting: %v", cause, err)
		}
		<-left
	}
}

// TestCrowded: who finds no place within the timeout has sent nothing and used no attempt.
func TestCrowded(t *testing.T) {
	requests := make(chan struct{}, 10)
	release := make(chan struct{})
	srv := serve(t, func(http.ResponseWriter, *http.Request) { requests <- struct{}{}; <-release })
	first := make(chan error)
	go func() {
		first <- newTest(t, Config{URL: srv.URL, MaxPerHost: 1}).Handle(context.Background(), newJob())
	}()
	<-requests
	var log bytes.Buffer
	err := newTest(t, Config{URL: srv.URL, MaxPerHost: 1, Timeout: 50e6}).Handle(zerolog.New(&log).WithContext(context.Background()), newJob())
	var snooze *queue.SnoozeError
	if !errors.As(err, &snooze) || snooze.After != crowded || !strings.Contains(log.String(), "no place became free") {
		t.Errorf("%v, log %s", err, log.String())
	}
	close(release)
	if err := <-first; err != nil || len(requests) != 0 {
		t.Errorf("%v, %d more requests", err, len(requests))
	}
}
