package webhook

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tidemill/tidemill/queue"
)

// names is a resolver that asks fn for the addresses of a name, over a pipe.
func names(fn func(name string) []string) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			for answerName(theirs, fn) == nil {
			}
		}()
		return ours, nil
	}}
}

// answerName answers one DNS question in the form that streams use: with a length before it.
func answerName(conn net.Conn, fn func(string) []string) error {
	length := make([]byte, 2)
	if _, err := io.ReadFull(conn, length); err != nil {
		return err
	}
	question := make([]byte, binary.BigEndian.Uint16(length))
	if _, err := io.ReadFull(conn, question); err != nil {
		return err
	}
	var labels []string
	end := 12
	for ; question[end] != 0; end += int(question[end]) + 1 {
		labels = append(labels, string(question[end+1:end+1+int(question[end])]))
	}
	end += 5 // the root, type and class
	isA := binary.BigEndian.Uint16(question[end-4:]) == 1
	answers, count := []byte(nil), uint16(0)
	for _, address := range fn(strings.Join(labels, ".")) {
		if ip := netip.MustParseAddr(address); isA && ip.Is4() {
			answers = append(answers, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4) // name, A, IN, TTL 0, length
			answers = append(answers, ip.AsSlice()...)
			count++
		}
	}
	reply := append([]byte{}, question[:2]...)
	reply = append(reply, 0x81, 0x80, 0, 1) // an answer, recursion available; one question
	reply = binary.BigEndian.AppendUint16(reply, count)
	reply = append(reply, 0, 0, 0, 0)
	reply = append(append(reply, question[12:end]...), answers...)
	_, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...))
	return err
}

// port is where a receiver listens.
func port(url string) string { return url[strings.LastIndexByte(url, ':'):] }

func TestDeniedName(t *testing.T) {
	srv, got := record(t, nil)
	resolver := names(func(string) []string { return []string{"127.0.0.1", "10.9.8.7"} })
	h, err := newHandler(Config{URL: "http://hooks.test" + port(srv.URL), PrivateAddresses: Deny}, private, resolver)
	if err != nil {
		t.Fatal(err)
	}
	err = handle(t, h, newJob())
	var denied *AddressError
	if !errors.As(err, &denied) || denied.Address != "127.0.0.1" || verdictOf(err) != "retry" {
		t.Errorf("%v (%s)", err, verdictOf(err))
	}
	if len(got) != 0 || len(proxied) != 0 {
		t.Errorf("%d requests arrived, %d by the proxy", len(got), len(proxied))
	}
	// The same name is fine where private addresses are.
	h, err = newHandler(Config{URL: "http://127.0.0.1" + port(srv.URL)}, private, resolver)
	if err != nil {
		t.Fatal(err)
	}
	if err := handle(t, h, newJob()); err != nil || len(got) != 1 {
		t.Errorf("%v, %d requests", err, len(got))
	}
}

// TestRebinding: a name that led to a fine address leads to a denied one at the next connection.
func TestRebinding(t *testing.T) {
	srv := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") })
	const first, second = "127.0.0.1", "127.0.0.2"
	var turned atomic.Bool
	resolver := names(func(string) []string {
		if turned.Load() {
			return []string{second}
		}
		return []string{first}
	})
	fine := netip.MustParseAddr(first)
	judge := func(addr netip.Addr) string { // stands in for private: all tests are on loopback
		if addr != fine {
			return "elsewhere"
		}
		return ""
	}
	h, err := newHandler(Config{URL: "http://hooks.test" + port(srv.URL), PrivateAddresses: Deny}, judge, resolver)
	if err != nil {
		t.Fatal(err)
	}
	if err := handle(t, h, newJob()); err != nil {
		t.Fatal(err)
	}
	turned.Store(true)
	err = handle(t, h, newJob())
	var denied *AddressError
	if !errors.As(err, &denied) || denied.Address != second {
		t.Errorf("%v", err)
	}
}

func TestUnknownName(t *testing.T) {
	h, err := newHandler(Config{URL: "http://hooks.test/", PrivateAddresses: Deny}, private, names(func(string) []string { return nil }))
	if err != nil {
		t.Fatal(err)
	}
	err = handle(t, h, newJob())
	var dns *net.DNSError
	if !errors.As(err, &dns) || verdictOf(err) != "retry" {
		t.Errorf("%v (%s)", err, verdictOf(err))
	}
}

// TestProxy: the environment's proxy is used where addresses do not matter, and never where they do.
func TestProxy(t *testing.T) {
	job := newJob()
	if err := handle(t, newTest(t, Config{URL: "http://hooks.test/x"}), job); err != nil || string(job.Result()) != "by proxy" {
		t.Errorf("%v, result %q", err, job.Result())
	}
	if url := <-proxied; url != "http://hooks.test/x" {
		t.Errorf("the proxy was asked for %q", url)
	}
	h, err := newHandler(Config{URL: "http://hooks.test/x", PrivateAddresses: Deny}, private, names(func(string) []string { return []string{"127.0.0.1"} }))
	if err != nil {
		t.Fatal(err)
	}
	var denied *AddressError
	if err := handle(t, h, newJob()); !errors.As(err, &denied) || len(proxied) != 0 {
		t.Errorf("%v, %d requests by the proxy", err, len(proxied))
	}
}

// verdictOf tells what an error means to the job.
func verdictOf(err error) string {
	var dead *queue.DeadError
	var snooze *queue.SnoozeError
	switch {
	case err == nil:
		return "done"
	case errors.As(err, &dead):
		return "dead"
	case errors.As(err, &snooze):
		return "snooze"
	}
	return "retry"
}
