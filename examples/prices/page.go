package main

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tidemill/tidemill/pubsub"
)

//go:embed page.html
var html []byte

// writeWithin is how long a browser may take for an event. One that sleeps is left: it comes again by itself.
const writeWithin = 10 * time.Second

// page is the web page and its stream of events.
type page struct {
	client *pubsub.Client
	board  *board
	crowd  *crowd
}

func (p *page) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(html)
	})
	mux.HandleFunc("GET /events", p.events)
	return mux
}

// figures are the numbers below the drawing.
type figures struct {
	Watchers    int    `json:"watchers"`
	Connections int    `json:"connections"`
	Received    uint64 `json:"received"`
	Heard       uint64 `json:"heard"`
	Alarms      uint64 `json:"alarms"`
	Dropped     uint64 `json:"dropped"`
}

// gap tells a page that prices are missing.
type gap struct {
	Reason string `json:"reason"`
	Missed uint64 `json:"missed"`
}

// events is one browser: a subscription of its own, which ends with the request. A browser that is too slow for the prices
// loses the oldest, is told so, and holds up nobody.
func (p *page) events(w http.ResponseWriter, r *http.Request) {
	all, err := pubsub.NewPattern[Price](p.client, everything)
	if err == nil {
		var s *pubsub.Subscription[Price]
		if s, err = all.Subscribe(r.Context(), pubsub.Buffer(100)); err == nil {
			defer s.Close()
			w.Header().Set("Content-Type", "text/event-stream")
			w.Header().Set("Cache-Control", "no-store")
			p.stream(&stream{w: w, control: http.NewResponseController(w)}, r, s)
			return
		}
	}
	http.Error(w, err.Error(), http.StatusServiceUnavailable)
}

// stream sends what was, and then what comes, until either side has had enough.
func (p *page) stream(out *stream, r *http.Request, s *pubsub.Subscription[Price]) {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	out.send("past", p.board.snapshot()) // subscribed before: what overlaps the page tells by its time
	out.send("figures", p.figures())
	prices := s.C()
	for out.err == nil {
		select {
		case <-r.Context().Done():
			return
		case <-second.C:
			out.send("figures", p.figures())
		case e, open := <-prices:
			var missing *pubsub.Gap
			switch {
			case !open:
				return
			case e.Err == nil:
				out.send("price", pointOf(e.Message))
			case errors.As(e.Err, &missing):
				out.send("gap", gap{Reason: missing.Reason, Missed: missing.Missed})
			}
		}
	}
}

func (p *page) figures() figures {
	stats := p.client.Stats()
	return figures{Watchers: p.crowd.watchers, Connections: stats.Connections, Received: stats.Received, Heard: p.crowd.heard.Load(),
		Alarms: p.crowd.alarms.Load(), Dropped: stats.Dropped}
}

// stream is the way to one browser; err is why it is over.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	err     error
}

func (s *stream) send(event string, data any) {
	text, err := json.Marshal(data)
	if err == nil {
		err = s.control.SetWriteDeadline(time.Now().Add(writeWithin))
	}
	if err == nil {
		_, err = fmt.Fprintf(s.w, "event: %s\ndata: %s\n\n", event, text)
	}
	if err == nil {
		err = s.control.Flush()
	}
	s.err = errors.Join(s.err, err)
}
