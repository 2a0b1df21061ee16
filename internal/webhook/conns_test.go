package webhook

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
)

// counted starts a receiver that counts its connections.
func counted(t *testing.T, fn http.HandlerFunc, prepare func(*httptest.Server)) (*httptest.Server, *atomic.Int64) {
	t.Helper()
	var conns atomic.Int64
	srv := httptest.NewUnstartedServer(fn)
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	prepare(srv)
	t.Cleanup(srv.Close)
	return srv, &conns
}

// TestReuse: requests one after the other share a connection, also after refusals and long answers.
func TestReuse(t *testing.T) {
	n := 0
	srv, conns := counted(t, func(w http.ResponseWriter, _ *http.Request) {
		n++
		switch n % 4 {
		case 1:
			w.WriteHeader(503)
			_, _ = w.Write(make([]byte, 100<<10))
		case 2:
			_, _ = w.Write(make([]byte, 200<<10))
		case 3:
			http.Error(w, "no", 404)
		}
	}, (*httptest.Server).Start)
	h := newTest(t, Config{URL: srv.URL, MaxResult: 10})
	for range 40 {
		_ = handle(t, h, newJob())
	}
	if conns.Load() != 1 {
		t.Errorf("%d connections for 40 requests", conns.Load())
	}
}

// TestLongRest: a rest that is not worth reading costs the connection, not the time.
func TestLongRest(t *testing.T) {
	srv, conns := counted(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(make([]byte, 8<<20))
	}, (*httptest.Server).Start)
	h := newTest(t, Config{URL: srv.URL})
	for range 3 {
		if err := handle(t, h, newJob()); err != nil {
			t.Fatal(err)
		}
	}
	if conns.Load() != 3 {
		t.Errorf("%d connections for 3 answers of 8 MiB", conns.Load())
	}
}

// TestMaxPerHost: the receiver never sees more at once than allowed, from two handlers together, over HTTP/1 and HTTP/2.
func TestMaxPerHost(t *testing.T) {
	for name, prepare := range map[string]func(*httptest.Server){
		"HTTP/1.1": (*httptest.Server).Start,
		"HTTP/2":   func(s *httptest.Server) { s.EnableHTTP2 = true; s.StartTLS() },
	} {
		t.Run(name, func(t *testing.T) {
			const bound, jobs = 6, 300
			var busy, most, wrong atomic.Int64
			var mu sync.Mutex
			here, all := 0, make(chan struct{})
			srv, conns := counted(t, func(_ http.ResponseWriter, r *http.Request) {
				n := busy.Add(1)
				defer busy.Add(-1)
				for was := most.Load(); n > was && !most.CompareAndSwap(was, n); was = most.Load() {
				}
				if r.Proto[:6] != name[:6] {
					wrong.Add(1)
				}
				// Each waits until as many are here as are allowed: fewer would hang.
				mu.Lock()
				mine := all
				if here++; here == bound {
					close(all)
					here, all = 0, make(chan struct{})
				}
				mu.Unlock()
				<-mine
			}, prepare)
			config := Config{URL: srv.URL, MaxPerHost: bound}
			if srv.TLS != nil {
				config.CAFile = caFile(t, srv)
			}
			handlers := []*Handler{newTest(t, config), newTest(t, config)}
			var group sync.WaitGroup
			for i := range jobs {
				group.Go(func() {
					if err := handle(t, handlers[i%2], newJob()); err != nil {
						t.Error(err)
					}
				})
			}
			group.Wait()
			if most.Load() > bound || wrong.Load() > 0 {
				t.Errorf("%d at once, allowed %d; %d by another protocol", most.Load(), bound, wrong.Load())
			}
			if conns.Load() > 4*bound { // each handler keeps as many as it may use at once
				t.Errorf("%d connections for %d requests", conns.Load(), jobs)
			}
		})
	}
}

// TestClose: a handler that was replaced keeps no connection, and still works.
func TestClose(t *testing.T) {
	var idle sync.WaitGroup
	var closed sync.Once
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") }))
	idle.Add(2)
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			idle.Done()
		}
	}
	srv.Start()
	defer srv.Close()
	h := newTest(t, Config{URL: srv.URL})
	for range 2 {
		if err := handle(t, h, newJob()); err != nil {
			t.Fatal(err)
		}
		closed.Do(h.Close)
	}
	idle.Wait() // both connections are closed by now, or this hangs
}

func TestTLS(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer srv.Close()
	srv.Config.ErrorLog = quiet()
	if err := handle(t, newTest(t, Config{URL: srv.URL, CAFile: caFile(t, srv)}), newJob()); err != nil {
		t.Errorf("with its authority: %v", err)
	}
	for name, config := range map[string]Config{
		"the system's authorities": {URL: srv.URL},
		"another authority":        {URL: srv.URL, CAFile: caFile(t, nil)},
	} {
		err := handle(t, newTest(t, config), newJob())
		var unknown *tls.CertificateVerificationError
		if !errors.As(err, &unknown) || verdictOf(err) != "retry" {
			t.Errorf("%s: %v (%s)", name, err, verdictOf(err))
		}
	}
	plain := serve(t, func(http.ResponseWriter, *http.Request) {})
	if err := handle(t, newTest(t, Config{URL: "https" + plain.URL[4:]}), newJob()); verdictOf(err) != "retry" {
		t.Errorf("https to http: %v (%s)", err, verdictOf(err))
	}
}
