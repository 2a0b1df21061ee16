package redistest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redisserver"
)

// barrierWithin is how long the server's own report of a command may take.
const barrierWithin = time.Minute

// Monitor records the commands that clients send to a real server, without those
// that scripts run inside it. It sees what connecting sends too (HELLO), and the
// commands of a MULTI only when EXEC runs them. Its methods belong to the test's
// goroutine: they see every command that was answered before they were called,
// and fail the test when the server has gone.
type Monitor struct {
	t       testing.TB
	feed    net.Conn // receives the server's report
	control net.Conn // sends markers to find the end of it
	replies *bufio.Reader
	marks   int

	mu    sync.Mutex
	lines []string
	seen  int           // the last marker reported
	moved chan struct{} // closed and replaced when seen moves, closed when the feed ends
	over  bool
}

// NewMonitor starts recording. It ends with the test, and slows the server down
// meanwhile.
func NewMonitor(t testing.TB, srv *redisserver.Server) *Monitor {
	t.Helper()
	m := &Monitor{t: t, moved: make(chan struct{})}
	m.feed, _ = m.connect(srv)
	m.control, m.replies = m.connect(srv)
	feed := bufio.NewReader(m.feed)
	m.say(m.feed, feed, "MONITOR")
	own := m.control.LocalAddr().String()
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		m.record(feed, own)
	}()
	t.Cleanup(func() {
		m.feed.Close()
		m.control.Close()
		<-finished
	})
	return m
}

// Lines returns the commands so far, oldest first: the name in upper case and
// the arguments as MONITOR prints them, as in `SET "key" "value"`.
func (m *Monitor) Lines() []string {
	m.t.Helper()
	m.sync()
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.lines)
}

// Count returns how many commands there were so far: those with one of the
// names, or all of them.
func (m *Monitor) Count(names ...string) int {
	m.t.Helper()
	chosen, n := On(names...), 0
	for _, line := range m.Lines() {
		if name, _, _ := strings.Cut(line, " "); chosen(name, nil) {
			n++
		}
	}
	return n
}

// Reset forgets the commands so far.
func (m *Monitor) Reset() {
	m.t.Helper()
	m.sync()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lines = nil
}

// connect opens a connection and logs in if the server wants that.
func (m *Monitor) connect(srv *redisserver.Server) (net.Conn, *bufio.Reader) {
	m.t.Helper()
	conn, err := net.DialTimeout("tcp", srv.Addr(), dialWithin)
	if err != nil {
		m.t.Fatalf("redistest: monitor: %v", err)
	}
	r := bufio.NewReader(conn)
	if u, err := url.Parse(srv.URL()); err == nil && u.User != nil {
		password, _ := u.User.Password()
		m.say(conn, r, "AUTH", password)
	}
	return conn, r
}

// say sends a command and expects anything but an error.
func (m *Monitor) say(conn net.Conn, r *bufio.Reader, words ...string) {
	m.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	_ = conn.SetReadDeadline(time.Now().Add(barrierWithin))
	_, err := io.WriteString(conn, b.String())
	if err != nil {
		m.t.Fatalf("redistest: monitor: %s: %v", words[0], err)
	}
	reply, err := readReply(r)
	if err != nil || reply[0] == '-' {
		m.t.Fatalf("redistest: monitor: %s: %q %v", words[0], reply, err)
	}
	_ = conn.SetReadDeadline(time.Time{})
}

// sync returns when everything answered before has been recorded: it sends a
// command of its own and waits until the server reports that.
func (m *Monitor) sync() {
	m.t.Helper()
	m.marks++
	m.say(m.control, m.replies, "ECHO", fmt.Sprint(m.marks))
	timeout := time.NewTimer(barrierWithin)
	defer timeout.Stop()
	for {
		m.mu.Lock()
		seen, over, moved := m.seen, m.over, m.moved
		m.mu.Unlock()
		if seen >= m.marks {
			return
		}
		if over {
			m.t.Fatal("redistest: monitor: the server closed the connection")
		}
		select {
		case <-moved:
		case <-timeout.C:
			m.t.Fatal("redistest: monitor: the server stopped reporting")
		}
	}
}

// record reads lines such as +1700000000.123456 [0 127.0.0.1:4711] "SET" "k" "v".
func (m *Monitor) record(r *bufio.Reader, own string) {
	for {
		raw, err := readReply(r)
		m.mu.Lock()
		if err != nil {
			m.over = true
			close(m.moved)
			m.mu.Unlock()
			return
		}
		m.note(string(bytes.TrimSpace(raw)), own)
		m.mu.Unlock()
	}
}

// note takes one line; the lock is held.
func (m *Monitor) note(line, own string) {
	_, rest, _ := strings.Cut(line, " [")
	source, words, ok := strings.Cut(rest, "] ")
	_, source, _ = strings.Cut(source, " ") // the number of the database
	if !ok || source == "lua" {
		return
	}
	if source == own {
		m.seen++
		close(m.moved)
		m.moved = make(chan struct{})
		return
	}
	name, args, more := strings.Cut(words, " ")
	name = strings.ToUpper(strings.Trim(name, `"`))
	if more {
		name += " " + args
	}
	m.lines = append(m.lines, name)
}
