package monitor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/pubsub"
	messages "github.com/tidemill/tidemill/pubsub/metrics"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
	"github.com/tidemill/tidemill/worker/metrics"
)

// Bounds of an exchange: whoever asks is a probe, a scraper or a person, and gets little.
const (
	readWithin   = 10 * time.Second
	writeWithin  = 30 * time.Second
	idleFor      = 2 * time.Minute
	headerBytes  = 16 << 10
	scrapesAtOne = 8
	closeWithin  = time.Second
)

// Server answers for one worker, from before it is made until it has ended. A nil one is none: it watches nobody.
type Server struct {
	http     *http.Server
	listener net.Listener
	registry *prometheus.Registry
	worker   atomic.Pointer[worker.Worker]
	beside   atomic.Pointer[func() []string]
	log      zerolog.Logger
}

// Listen answers at an address HOST:PORT from now on. Until Watch it says that the worker starts.
func Listen(addr string, log zerolog.Logger) (*Server, error) {
	listener, err := net.Listen("tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s is taken: another program listens there (%w)", addr, err)
	case err != nil:
		return nil, fmt.Errorf("cannot listen on %s: %w", addr, err)
	}
	s := &Server{listener: listener, registry: prometheus.NewRegistry(), log: log}
	s.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewBuildInfoCollector())
	s.http = &http.Server{Handler: s.routes(), ReadHeaderTimeout: readWithin, ReadTimeout: readWithin, WriteTimeout: writeWithin,
		IdleTimeout: idleFor, MaxHeaderBytes: headerBytes, ErrorLog: quietLog(log)}
	go func() {
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error().Err(err).Str("listen", s.Addr()).Msg("health and metrics are not served any more")
		}
	}()
	return s, nil
}

// Addr is where it listens.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Watch makes the server answer for a worker, and the worker measure its attempts. Once.
func (s *Server) Watch(client *queue.Client, w *worker.Worker) error {
	if s == nil {
		return nil
	}
	collector, err := metrics.New(client, w, metrics.Config{})
	if err != nil {
		return err
	}
	if err := s.registry.Register(collector); err != nil {
		return err
	}
	s.worker.Store(w)
	return nil
}

// WatchMessages adds the numbers of a pubsub client, where the worker has one, to /metrics. Once.
func (s *Server) WatchMessages(client *pubsub.Client) error {
	if s == nil {
		return nil
	}
	return s.registry.Register(messages.New(client))
}

// Beside makes the server ask what else works beside the worker: it is not ready while faults, which is called for each
// answer, names any.
func (s *Server) Beside(faults func() []string) {
	if s != nil {
		s.beside.Store(&faults)
	}
}

// Close ends it. Answers under way get a moment.
func (s *Server) Close() {
	if s == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeWithin)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		_ = s.http.Close()
	}
}

// health is how the worker is.
func (s *Server) health() worker.Health {
	if w := s.worker.Load(); w != nil {
		h := w.Health()
		if faults := s.beside.Load(); faults != nil && (h.Phase == "working" || h.Phase == "starting") {
			more := (*faults)()
			h.Ready, h.Reasons = h.Ready && len(more) == 0, append(h.Reasons, more...)
		}
		return h
	}
	return worker.Health{Phase: "starting", Reasons: []string{"starting: it is not connected to Redis yet"}}
}

func (s *Server) metrics() http.Handler {
	return promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, ErrorLog: scrapeLog{s.log}, MaxRequestsInFlight: scrapesAtOne})
}
