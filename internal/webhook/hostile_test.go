package webhook

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidemill/tidemill/queue"
)

// rude starts a receiver that reads a request and then does as it likes with the connection.
func rude(t *testing.T, fn func(conn net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				r, err := http.ReadRequest(bufio.NewReader(conn))
				if err == nil {
					_, err = io.Copy(io.Discard, r.Body)
				}
				if err == nil {
					fn(conn)
				}
			}()
		}
	}()
	return "http://" + listener.Addr().String()
}

// say writes, until the other side is fed up.
func say(conn net.Conn, texts ...string) error {
	for _, text := range texts {
		if _, err := io.WriteString(conn, text); err != nil {
			return err
		}
	}
	return nil
}

// hangUp waits until the other side closes.
func hangUp(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

// TestHostile: what a receiver may do to a connection, and what becomes of the job. Nothing of it hangs or grows.
func TestHostile(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	const patience = ": no whole answer within 400ms"
	for name, c := range map[string]struct {
		fn   func(net.Conn)
		want string // the error after the address, "" = done
		dead bool
		size int // of the result
	}{
		"closes":           {func(net.Conn) {}, " closed the connection without an answer: EOF", false, 0},
		"no HTTP":          {func(c net.Conn) { _ = say(c, "SSH-2.0-OpenSSH_9\r\n") }, `: net/http: HTTP/1.x transport connection broken: malformed HTTP response "SSH-2.0-OpenSSH_9"`, false, 0},
		"silent":           {hangUp, patience, false, 0},
		"half a head":      {func(c net.Conn) { _ = say(c, ok+"Content-Le"); hangUp(c) }, patience, false, 0},
		"broken head":      {func(c net.Conn) { _ = say(c, ok+"Content-Length: 4\r\n") }, ": net/http: HTTP/1.x transport connection broken: unexpected EOF", false, 0},
		"silent body":      {func(c net.Conn) { _ = say(c, ok+"Content-Length: 9\r\n\r\nhalf"); hangUp(c) }, patience, false, 0},
		"broken body":      {func(c net.Conn) { _ = say(c, ok+"Content-Length: 9\r\n\r\nhalf") }, ": its answer 200 broke off after 4 bytes: unexpected EOF", false, 0},
		"broken chunks":    {func(c net.Conn) { _ = say(c, ok+"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n") }, ": its answer 200 broke off after 4 bytes: unexpected EOF", false, 0},
		"refuses silently": {func(c net.Conn) { _ = say(c, "HTTP/1.1 404 No\r\nContent-Length: 9\r\n\r\nhalf"); hangUp(c) }, " answered 404 Not Found", true, 0},
		"refuses halfway":  {func(c net.Conn) { _ = say(c, "HTTP/1.1 404 No\r\nContent-Length: 9\r\n\r\nhalf") }, " answered 404 Not Found", true, 0},
		"interim answers": {func(c net.Conn) {
			_ = say(c, "HTTP/1.1 102 Wait\r\n\r\n", "HTTP/1.1 103 Hint\r\n\r\n", ok+"Content-Length: 4\r\n\r\ndone")
		}, "", false, 4},
		"switches": {func(c net.Conn) {
			_ = say(c, "HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
			hangUp(c)
		}, " answered 101 Switching Protocols", false, 0},
		"long text": {func(c net.Conn) {
			_ = say(c, "HTTP/1.1 503 "+strings.Repeat("x", 9999)+"\r\nContent-Length: 0\r\n\r\n")
		}, " answered 503 Service Unavailable", false, 0},
		"says goodbye": {func(c net.Conn) { _ = say(c, ok+"\r\nwithout a length") }, "", false, 16},
		"endless head": {func(c net.Conn) {
			for err := say(c, ok); err == nil; err = say(c, "X-A: "+strings.Repeat("x", 1000)+"\r\n") {
			}
		}, ": net/http: HTTP/1.x transport connection broken: net/http: server response headers exceeded 65536 bytes; aborted", false, 0},
		"endless interim": {func(c net.Conn) {
			for say(c, "HTTP/1.1 103 Hint\r\nX-A: "+strings.Repeat("x", 1000)+"\r\n\r\n") == nil {
			}
		}, ": net/http: HTTP/1.x transport connection broken: net/http: server response headers exceeded 65536 bytes; aborted", false, 0},
		"endless body": {func(c net.Conn) {
			for err := say(c, ok+"\r\n"); err == nil; err = say(c, strings.Repeat("x", 1<<16)) {
			}
		}, "", false, queue.MaxResult},
		"endless chunks": {func(c net.Conn) {
			for err := say(c, ok+"Transfer-Encoding: chunked\r\n\r\n"); err == nil; err = say(c, "4\r\nmore\r\n") {
			}
		}, "", false, queue.MaxResult},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, job, timeout := rude(t, c.fn), newJob(), time.Minute
			if c.want == patience { // the others answer at once, as soon as the machine lets them
				timeout = 400 * time.Millisecond
			}
			err := handle(t, newTest(t, Config{URL: url, Timeout: timeout, MaxPerHost: 1}), job)
			text := ""
			if err != nil {
				text = strings.TrimPrefix(err.Error(), url)
			}
			if (c.want == "") != (text == "") || !strings.HasPrefix(text, c.want) {
				t.Errorf("error %q, want %q", text, c.want)
			}
			var dead *queue.DeadError
			if errors.As(err, &dead) != c.dead {
				t.Errorf("dead is %v: %v", !c.dead, err)
			}
			if len(job.Result()) != c.size {
				t.Errorf("a result of %d bytes", len(job.Result()))
			}
			var snooze *queue.SnoozeError
			if errors.As(err, &snooze) {
				t.Error("it came back without an attempt")
			}
		})
	}
}

func TestReset(t *testing.T) {
	url := rude(t, func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) })
	err := handle(t, newTest(t, Config{URL: url}), newJob())
	if err == nil || !strings.Contains(err.Error(), "connection reset by peer") {
		t.Errorf("%v", err)
	}
}

func TestRefused(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + listener.Addr().String()
	listener.Close()
	err = handle(t, newTest(t, Config{URL: url}), newJob())
	if err == nil || !strings.HasPrefix(err.Error(), url+": dial tcp") || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("%v", err)
	}
}

// TestSilentRest: what is not worth waiting for is not waited for.
func TestSilentRest(t *testing.T) {
	for name, c := range map[string]struct{ answer, verdict string }{
		"of a refusal":     {"HTTP/1.1 404 No\r\nContent-Length: 9\r\n\r\nhalf", "dead"},
		"of a long answer": {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "done"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := rude(t, func(conn net.Conn) { _ = say(conn, c.answer); hangUp(conn) })
			err := handle(t, newTest(t, Config{URL: url, MaxResult: 2, Timeout: time.Hour}), newJob())
			if verdictOf(err) != c.verdict {
				t.Errorf("%v (%s)", err, verdictOf(err))
			}
		})
	}
}

// TestGzipBomb: a packed answer was not asked for and is not unpacked.
func TestGzipBomb(t *testing.T) {
	var bomb bytes.Buffer
	zip := gzip.NewWriter(&bomb)
	if _, err := zip.Write(make([]byte, 10<<20)); err != nil {
		t.Fatal(err)
	}
	zip.Close()
	asked := make(chan string, 1)
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Header.Get("Accept-Encoding")
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb.Bytes())
	})
	job := newJob()
	if err := handle(t, newTest(t, Config{URL: srv.URL}), job); err != nil {
		t.Fatal(err)
	}
	if encoding := <-asked; encoding != "" || !bytes.Equal(job.Result(), bomb.Bytes()) {
		t.Errorf("asked for %q, a result of %d bytes of %d", encoding, len(job.Result()), bomb.Len())
	}
}

// TestSwallowed: a kept connection that the receiver closes just as the next request arrives costs no attempt.
func TestSwallowed(t *testing.T) {
	var mu sync.Mutex
	keys := map[string]int{}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for conn, err := listener.Accept(); err == nil; conn, err = listener.Accept() {
			go func() {
				defer conn.Close()
				in := bufio.NewReader(conn)
				for i := range 2 { // the second on a connection is read and never answered
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, r.Body)
					mu.Lock()
					keys[r.Header.Get("Idempotency-Key")]++
					mu.Unlock()
					if i == 0 {
						_ = say(conn, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")
					}
				}
			}()
		}
	}()
	h := newTest(t, Config{URL: "http://" + listener.Addr().String()})
	for i := range 3 {
		job := newJob()
		if err := handle(t, h, job); err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		mu.Lock()
		if n := keys[job.ID.String()]; n != min(i+1, 2) {
			t.Errorf("request %d arrived %d times", i, n)
		}
		mu.Unlock()
	}
}
