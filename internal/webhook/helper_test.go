package webhook

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/queue"
)

// proxied tells the requests that came through the proxy that HTTP_PROXY names in these tests. Loopback addresses are
// never proxied.
var proxied = make(chan string, 100)

func TestMain(m *testing.M) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proxied <- r.URL.String()
		fmt.Fprint(w, "by proxy")
	}))
	os.Setenv("HTTP_PROXY", proxy.URL)
	os.Unsetenv("NO_PROXY")
	os.Unsetenv("no_proxy")
	code := m.Run()
	proxy.Close()
	os.Exit(code)
}

const payload = `{"n": 1}`

// newJob is an attempt at a job, changed by edits.
func newJob(edits ...func(*queue.Info)) *queue.Job[queue.Raw] {
	info := queue.Info{ID: uuid.Must(uuid.NewV7()), Kind: "hook.paid", Queue: "hooks", Attempt: 3}
	for _, edit := range edits {
		edit(&info)
	}
	return queue.NewJob(info, queue.Raw{Name: info.Kind, Payload: []byte(payload)}, 1)
}

// newTest makes a handler that ends with the test.
func newTest(t *testing.T, c Config) *Handler {
	t.Helper()
	h, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

// serve starts a receiver that ends with the test.
func serve(t *testing.T, fn http.HandlerFunc) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(fn)
	t.Cleanup(srv.Close)
	return srv
}

// request is what a receiver got.
type request struct {
	*http.Request
	body []byte
}

// record starts a receiver that hands each request to the channel it answers.
func record(t *testing.T, answer http.HandlerFunc) (*httptest.Server, <-chan request) {
	t.Helper()
	got := make(chan request, 100)
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("reading a request: %v", err)
		}
		got <- request{r, body}
		if answer != nil {
			answer(w, r)
		}
	}), got
}

func handle(t *testing.T, h *Handler, job *queue.Job[queue.Raw]) error {
	t.Helper()
	return h.Handle(context.Background(), job)
}

// caFile is a PEM file of a receiver's certificate; of nil, of another authority's.
func caFile(t *testing.T, srv *httptest.Server) string {
	t.Helper()
	var der []byte
	if srv != nil {
		der = srv.Certificate().Raw
	} else {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, NotAfter: time.Now().Add(time.Hour)}
		if der, err = x509.CreateCertificate(rand.Reader, template, template, key.Public(), key); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// quiet is a log for what a server has to say about clients that do not trust it.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
