package metrics_test

import (
	"context"
	"log"
	"net/http"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
	"github.com/tidemill/tidemill/worker/metrics"
)

// A program that serves its own metrics beside the worker's.
func ExampleNew() {
	ctx := context.Background()
	client, err := queue.Open(ctx, os.Getenv("REDIS_URL"))
	if err != nil {
		log.Fatal(err)
	}
	w, err := worker.New(client, worker.NewMux(), worker.Config{Concurrency: 50})
	if err != nil {
		log.Fatal(err)
	}
	collector, err := metrics.New(client, w, metrics.Config{})
	if err != nil {
		log.Fatal(err)
	}
	prometheus.MustRegister(collector)
	http.Handle("/metrics", promhttp.Handler())
	http.HandleFunc("/readyz", func(out http.ResponseWriter, _ *http.Request) {
		if h := w.Health(); !h.Ready {
			http.Error(out, h.Reasons[0], http.StatusServiceUnavailable)
		}
	})
	go func() { log.Println(http.ListenAndServe("127.0.0.1:9090", nil)) }()
	if err := w.Run(ctx); err != nil {
		log.Fatal(err)
	}
}
