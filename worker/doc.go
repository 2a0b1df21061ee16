// Package worker runs the jobs of Tidemill's queues. A program builds a Mux of handlers and a Worker, and calls Run:
//
//	mux := worker.NewMux()
//	worker.Handle(mux, resize)
//	w, err := worker.New(client, mux, worker.Config{Concurrency: 50})
//	...
//	err = w.Run(ctx) // blocks; nil after a clean drain
//
// Inside, each file is one role: fetcher (claims and acknowledges), executor (runs handlers), settler (failures),
// keeper (heartbeat and reconciliation), waker and watch (blocking pops), timer (delayed jobs), recoverer (lost sessions), sweeper
// (retention), returner (what waited too long), control (hints), drain (shutdown), health (whether all that works), measure
// (what attempts come to, and how long they take).
package worker
