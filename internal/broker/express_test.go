package broker

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
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
	}, 0)
	t.Cleanup(x.Close)
	if !x.Take(t.Context()) {
		t.Skip("this system's connections cannot be looked at: there is no express")
	}
	q, stamp, items := batch(t, 2)
	return x, func() ([]Outcome, bool, error) {
		if err := x.Send(q, stamp, items); err != nil {
			t.Fatal(err)
		}
		return x.Receive()
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

// What is no answer of the script leaves the call open, and the connection is not used again.
func TestExpressRefusesOtherAnswers(t *testing.T) {
	for _, answer := range []string{"", "+OK\r\n", ":1\r\n", "$2\r\nab\r\n", "*3\r\n", "*2\r\n$-1\r\n", "*2\r\n$1000000\r\n", "*2\r\n:5\r\n", "*2\n", "-\r",
		"*2\r\n$16\r\n170000000000"} {
		x, call := answering(t, answer)
		if outcomes, answered, err := call(); err == nil || answered || outcomes != nil || errors.As(err, new(redis.Error)) {
			t.Errorf("%q: %v, %v, %v", answer, outcomes, answered, err)
		}
		if x.Free(); x.Take(t.Context()) {
			t.Errorf("%q: it is used on", answer)
		}
	}
}

// One has it at a time, and nobody once it is closed.
func TestExpressHasOneHolder(t *testing.T) {
	x, _ := answering(t)
	if x.Take(t.Context()) {
		t.Error("two have it")
	}
	x.Free()
	x.Close()
	x.Close()
	if x.Take(t.Context()) {
		t.Error("it is closed and taken")
	}
}
