package monitor

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tidemill/tidemill/worker"
)

// places is what there is, for people who look elsewhere.
const places = `/livez    200 while the process answers
/readyz   200 while the worker takes jobs, else 503 with the reasons; JSON with ?verbose, or Accept: application/json
/metrics  for Prometheus
`

// Report is /readyz in JSON, which scripts rely on.
type Report struct {
	Ready          bool          `json:"ready"`
	Phase          string        `json:"phase"`
	Reasons        []string      `json:"reasons"`
	HeartbeatAgeMS *int64        `json:"heartbeat_age_ms"` // null: Redis has not answered one yet
	Running        int           `json:"running"`
	Buffered       int           `json:"buffered"`
	Stuck          int           `json:"stuck"`
	Concurrency    int           `json:"concurrency"`
	Queues         []QueueReport `json:"queues"`
}

// QueueReport is one queue of a Report.
type QueueReport struct {
	Name     string `json:"name"`
	Ready    bool   `json:"ready"`
	Reason   string `json:"reason,omitempty"`
	Paused   bool   `json:"paused"`
	Running  int    `json:"running"`
	Buffered int    `json:"buffered"`
}

func report(h *worker.Health, now time.Time) Report {
	r := Report{Ready: h.Ready, Phase: h.Phase, Reasons: append([]string{}, h.Reasons...), Running: h.Running, Buffered: h.Buffered,
		Stuck: h.Stuck, Concurrency: h.Concurrency, Queues: []QueueReport{}}
	if !h.Heartbeat.IsZero() {
		age := now.Sub(h.Heartbeat).Milliseconds()
		r.HeartbeatAgeMS = &age
	}
	for _, q := range h.Queues {
		r.Queues = append(r.Queues, QueueReport{Name: q.Name, Ready: q.Ready, Reason: q.Reason, Paused: q.Paused, Running: q.Running, Buffered: q.Buffered})
	}
	return r
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/livez", s.livez)
	mux.HandleFunc("/readyz", s.readyz)
	mux.Handle("/metrics", s.metrics())
	mux.HandleFunc("/", elsewhere)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			text(w, http.StatusMethodNotAllowed, "only GET and HEAD\n")
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func (s *Server) livez(w http.ResponseWriter, r *http.Request) {
	if !verbose(r) {
		text(w, http.StatusOK, "alive\n")
		return
	}
	object(w, http.StatusOK, map[string]bool{"alive": true})
}

func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	h := s.health()
	code := http.StatusOK
	if !h.Ready {
		code = http.StatusServiceUnavailable
	}
	switch {
	case verbose(r):
		object(w, code, report(&h, time.Now()))
	case h.Ready:
		text(w, code, "ready\n")
	default:
		text(w, code, "not ready\n"+strings.Join(h.Reasons, "\n")+"\n")
	}
}

func elsewhere(w http.ResponseWriter, r *http.Request) {
	text(w, http.StatusNotFound, fmt.Sprintf("there is no %.100q here; there is\n%s", r.URL.Path, places))
}

// verbose tells whether JSON is wanted.
func verbose(r *http.Request) bool {
	return r.URL.Query().Has("verbose") || strings.Contains(r.Header.Get("Accept"), "application/json")
}

// text answers plain text. That the other side went away is nobody's fault.
func text(w http.ResponseWriter, code int, body string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(body))
}

func object(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}
