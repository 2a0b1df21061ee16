package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
)

const soon = time.Minute

// start runs the market and answers the URL of its page.
func start(t *testing.T, c config) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan string, 1), make(chan error, 1)
	c.listen, c.ready = "127.0.0.1:0", func(addr string) { ready <- addr }
	go func() { done <- run(ctx, c) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	select {
	case addr := <-ready:
		return "http://" + addr
	case err := <-done:
		done <- nil
		t.Fatal(err)
		return ""
	}
}

// browser reads events as a page does.
type browser struct {
	t    *testing.T
	text *bufio.Scanner
}

func open(t *testing.T, url string) *browser {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	if kind := response.Header.Get("Content-Type"); response.StatusCode != http.StatusOK || kind != "text/event-stream" {
		t.Fatalf("%s, %s", response.Status, kind)
	}
	return &browser{t: t, text: bufio.NewScanner(response.Body)}
}

// next reads up to an event of a name for which want is true.
func next[T any](b *browser, name string, want func(T) bool) T {
	b.t.Helper()
	for event := ""; b.text.Scan(); {
		if name, is := strings.CutPrefix(b.text.Text(), "event: "); is {
			event = name
		}
		data, is := strings.CutPrefix(b.text.Text(), "data: ")
		if !is || event != name {
			continue
		}
		var v T
		if err := json.Unmarshal([]byte(data), &v); err != nil {
			b.t.Fatalf("%s: %v", data, err)
		}
		if want(v) {
			return v
		}
	}
	b.t.Fatalf("the stream ended without the %s: %v", name, b.text.Err())
	panic("unreachable")
}

// With nothing set up: prices reach the page and thousands of subscribers, over one connection.
func TestPrices(t *testing.T) {
	url := start(t, config{watchers: 2000, each: 20 * time.Millisecond, feed: true})
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil || !strings.Contains(string(body), `new EventSource("events")`) || strings.Contains(string(body), "http") {
		t.Errorf("%v; the page is not itself, or loads something from elsewhere:\n%s", err, body)
	}
	b := open(t, url)
	for _, symbol := range symbols {
		next(b, "price", func(p point) bool { return p.Symbol == symbol && p.Cents > 0 && p.Millis > 0 })
	}
	f := next(b, "figures", func(f figures) bool { return f.Heard > 0 && f.Received > 0 })
	if f.Watchers != 2000 || f.Connections != 1 {
		t.Errorf("%+v, want 2000 watchers on 1 connection", f)
	}
	// Who comes later sees what was.
	next(open(t, url), "past", func(p map[string][]point) bool { return len(p) == len(symbols) && len(p["TIDE"]) > 0 })
}

// On a real server: the page hears of a broken connection, and of prices that others publish.
func TestBrokenConnection(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		b := open(t, start(t, config{redis: srv.URL(), watchers: 10, each: time.Hour, feed: true}))
		rdb := redistest.Client(t, srv)
		if err := rdb.Do(t.Context(), "CLIENT", "KILL", "TYPE", "pubsub").Err(); err != nil {
			t.Fatal(err)
		}
		if g := next(b, "gap", func(gap) bool { return true }); g.Reason == "" || g.Missed != 0 {
			t.Errorf("%+v", g)
		}
		if err := rdb.Publish(t.Context(), "prices.TIDE", `{"symbol":"TIDE","cents":4200}`).Err(); err != nil {
			t.Fatal(err)
		}
		next(b, "price", func(p point) bool { return p.Symbol == "TIDE" && p.Cents == 4200 && p.Millis > 0 })
	})
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
