package broker

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redistest"
)

// answering is an Express whose server answers the calls so, one after the other, and then closes.
func answering(t *testing.T, answers ...string) (*Express, func() (outcomes []Outcome, answered bool, err error)) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		buf := make([]byte, 64<<10)
		for _, answer := range answers {
			if _, err := c.Read(buf); err != nil {
				return
			}
			if _, err := c.Write([]byte(answer)); err != nil {
				return
			}
		}
	}()
	x := NewExpress(func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", listener.Addr().String())
	}, func() {}, 0)
	t.Cleanup(x.Close)
	taken(t, x)
	q, stamp, items := batch(t, 2)
	return x, func() ([]Outcome, bool, error) {
		if err := x.Send(&Call{Batch: Batch{q, stamp, items}}); err != nil {
			t.Fatal(err)
		}
		return x.Receive()
	}
}

// taken takes the connection once it is there.
func taken(t *testing.T, x *Express) {
	t.Helper()
	closed := func() bool { x.mu.Lock(); defer x.mu.Unlock(); return x.closed }
	redistest.WaitFor(t, time.Minute, func() bool { return x.Take() || closed() }, "the connection")
	if closed() {
		t.Skip("this system's connections cannot be looked at: there is no express")
	}
}

func TestExpressReadsAnswers(t *testing.T) {
	const head = "*2\r\n$16\r\n1700000000000000\r\n"
	_, call := answering(t, head+"$0\r\n\r\n", head+"$2\r\ncd\r\n", "-STALE lane is at 9\r\n",
		"-NOSCRIPT No matching script.\r\n", "-OOM command not allowed\r\n", head+"$0\r\n\r\n")
	for _, want := range []string{"cc", "cd"} {
		if got, answered, err := call(); err != nil || !answered || outcomesText(got) != want {
			t.Errorf("%q, %v, %v; want %q", outcomesText(got), answered, err, want)
		}
	}
	if _, answered, err := call(); !answered || !errors.Is(err, ErrStale) || Unanswered(err) {
		t.Errorf("stale: %v, %v", answered, err)
	}
	if _, answered, err := call(); !answered || !Unanswered(err) {
		t.Errorf("a script that is not known: %v, %v", answered, err)
	}
	if _, answered, err := call(); !answered || !errors.Is(err, ErrFull) || Unanswered(err) {
		t.Errorf("a full server: %v, %v", answered, err)
	}
	if got, _, err := call(); err != nil || outcomesText(got) != "cc" {
		t.Errorf("behind all that: %q, %v", outcomesText(got), err)
	}
}

func outcomesText(outcomes []Outcome) string {
	var text strings.Builder
	for _, o := range outcomes {
		text.WriteByte(byte(o))
	}
	return text.String()
}

// TestExpressWatches: an answer and the end of the connection end the watch; looking allocates nothing.
func TestExpressWatches(t *testing.T) {
	const answer = "*2\r\n$1\r\n1\r\n$0\r\n\r\n"
	x, _ := answering(t, answer)
	q, stamp, items := batch(t, 2)
	if got := testing.AllocsPerRun(1000, func() { x.Watch(0) }); got > 0 {
		t.Errorf("a look allocates %v times", got)
	}
	if x.Watch(0) || x.Readable() {
		t.Error("there is an answer to nothing")
	}
	if err := x.Send(&Call{Batch: Batch{q, stamp, items}}); err != nil {
		t.Fatal(err)
	}
	if !x.Watch(time.Hour) || !x.Readable() {
		t.Error("the watch ended before the answer")
	}
	if _, answered, err := x.Receive(); err != nil || !answered {
		t.Error(err)
	}
	x.Watch(time.Hour)
	if _, answered, err := x.Receive(); err == nil || answered {
		t.Error("the end of the connection is an answer")
	}
}

// What is no answer of the script leaves the call open, and the connection is not used again.
func TestExpressRefusesOtherAnswers(t *testing.T) {
	for _, answer := range []string{"", "+OK\r\n", ":1\r\n", "$2\r\nab\r\n", "*3\r\n", "*2\r\n$-1\r\n", "*2\r\n$1000000\r\n", "*2\r\n:5\r\n", "*2\n", "-\r",
		"*2\r\n$16\r\n170000000000"} {
		x, call := answering(t, answer)
		if outcomes, answered, err := call(); err == nil || answered || outcomes != nil || errors.As(err, new(redis.Error)) {
			t.Errorf("%q: %v, %v, %v", answer, outcomes, answered, err)
		}
		if x.Free(); x.conn != nil || !x.next.After(time.Now().Add(-time.Minute)) {
			t.Errorf("%q: it is used on", answer)
		}
	}
}

// One has it at a time, and nobody once it is closed.
func TestExpressHasOneHolder(t *testing.T) {
	x, _ := answering(t, "")
	if x.Take() {
		t.Error("two have it")
	}
	x.Free()
	taken(t, x)
	x.Free()
	x.Close()
	x.Close()
	if x.Take() {
		t.Error("it is closed and taken")
	}
}

// The deadline of the last call passes while nobody calls: that does not end the connection.
func TestExpressIsKeptWhileIdle(t *testing.T) {
	const created = "*2\r\n$16\r\n1700000000000000\r\n$0\r\n\r\n"
	x, call := answering(t, created, created)
	x.timeout = time.Minute
	if _, answered, err := call(); !answered || err != nil {
		t.Fatal(answered, err)
	}
	first := x.conn
	if err := first.SetDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	x.Free()
	x.used = time.Now().Add(-time.Minute)
	if !x.Take() || x.conn != first {
		t.Fatal("it was given up")
	}
	if _, answered, err := call(); !answered || err != nil {
		t.Error(answered, err)
	}
}

// Nobody waits for a connection: one is made beside the callers, at a time, and Close ends it.
func TestNobodyWaitsForExpress(t *testing.T) {
	dials, released := make(chan struct{}, 10), false
	x := NewExpress(func(ctx context.Context) (net.Conn, error) {
		dials <- struct{}{}
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}, func() { released = true }, 0)
	for range 3 {
		if x.Take() {
			t.Error("there is none")
		}
	}
	<-dials
	x.Close()
	if x.Take() || len(dials) > 0 || !released {
		t.Errorf("taken after Close, %d more were made, or (%v) it is not given back", len(dials), released)
	}
}

// A connection that was made while Close came is closed, and one that cannot be looked at is the last.
func TestExpressThatComesToNothing(t *testing.T) {
	for name, end := range map[string]func(x *Express){"closed meanwhile": (*Express).shut, "cannot be looked at": func(*Express) {}} {
		here, there := net.Pipe()
		dialled, released := make(chan struct{}), make(chan struct{}, 10)
		x := NewExpress(func(context.Context) (net.Conn, error) { <-dialled; return here, nil }, func() { released <- struct{}{} }, 0)
		x.Take()
		end(x)
		close(dialled)
		if _, err := there.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", name, err)
		}
		if <-released; x.Take() {
			t.Errorf("%s: taken", name)
		}
		x.Close()
	}
}

// A caller who leaves ends the connection, and does not keep the others from the next one.
func TestWhoLeavesExpress(t *testing.T) {
	x, _ := answering(t, "", "")
	q, stamp, items := batch(t, 1)
	ctx, leave := context.WithCancel(t.Context())
	x.While(ctx, 0)
	if err := x.Send(&Call{Batch: Batch{q, stamp, items}}); err != nil {
		t.Fatal(err)
	}
	leave()
	if _, answered, err := x.Receive(); answered || err == nil {
		t.Errorf("answered %v, %v", answered, err)
	}
	if x.Free(); x.conn != nil || x.next.After(time.Now()) {
		t.Errorf("the next one is made in %v", time.Until(x.next))
	}
}

// A server that says that it does not serve, as one that is a replica now, is left. Other refusals mean the call.
func TestExpressLeavesWhoDoesNotServe(t *testing.T) {
	for answer, left := range map[string]bool{"-READONLY You can't write against a read only replica.": true, "-LOADING Redis is loading": true,
		"-MASTERDOWN Link with MASTER is down": true, "-NOSCRIPT No matching script.": false, "-STALE lane is at 9": false, "-OOM command not allowed": false} {
		x, call := answering(t, answer+"\r\n", "")
		first := x.conn
		before := time.Now()
		if _, answered, err := call(); !answered || err == nil {
			t.Errorf("%s: %v, %v", answer, answered, err)
		}
		if x.Free(); left && (x.conn != nil || x.next.Before(before.Add(redialAfter))) || !left && x.conn != first {
			t.Errorf("%s: left: %v, and for %v", answer, x.conn != first, x.next.Sub(before))
		}
	}
}

// Whether the server knows the script is asked anew of each connection.
func TestExpressKnowsTheScript(t *testing.T) {
	x, call := answering(t, "-NOSCRIPT No matching script.\r\n", "*2\r\n$16\r\n1700000000000000\r\n$0\r\n\r\n")
	for _, want := range []bool{false, true} {
		if _, answered, _ := call(); !answered || x.Knows() != want {
			t.Errorf("answered: %v, knows: %v, want %v", answered, x.Knows(), want)
		}
	}
	x.away = true
	if x.Free(); x.Knows() {
		t.Error("of a connection that is gone")
	}
}
