package broker

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// directCall is a call of n jobs that may be a direct one.
func directCall(tb testing.TB, n int) *Call {
	tb.Helper()
	q, stamp, items := batch(tb, n)
	stamp.Recorded = true
	for i := range items {
		items[i].Made = true
	}
	return &Call{Batch: Batch{q, stamp, items}, Start: time.Now()}
}

// directAnswering is answering for direct calls of 8 jobs.
func directAnswering(t *testing.T, answers ...string) (*Express, func() (outcomes []Outcome, answered bool, err error)) {
	t.Helper()
	x, _ := answering(t, answers...)
	x.direct, x.knows, x.heard = true, true, time.Now()
	c := directCall(t, 8)
	return x, func() ([]Outcome, bool, error) {
		if err := x.Send(c); err != nil {
			t.Fatal(err)
		}
		return x.Receive()
	}
}

const aborted = "-EXECABORT Transaction discarded because of"

func TestDirectReadsAnswers(t *testing.T) {
	const done, refused = directAnswer + "*4\r\n:1700000000000\r\n:8\r\n:20\r\n:0\r\n", directAnswer + "*4\r\n:-1700000900000\r\n:8\r\n:8\r\n:1\r\n"
	x, call := directAnswering(t, done, refused, done,
		"+OK\r\n+QUEUED\r\n-OOM command not allowed\r\n-OOM command not allowed\r\n+QUEUED\r\n"+aborted+" previous errors.\r\n",
		directAnswer+aborted+": OOM command not allowed\r\n", done,
		"+OK\r\n-NOPERM no\r\n-NOPERM hset\r\n+QUEUED\r\n+QUEUED\r\n"+aborted+" previous errors.\r\n")
	created := func() {
		t.Helper()
		if got, answered, err := call(); err != nil || !answered || outcomesText(got) != "cccccccc" {
			t.Errorf("%q, %v, %v", outcomesText(got), answered, err)
		}
	}
	created()
	if _, answered, err := call(); !answered || !Unanswered(err) || !errors.Is(err, errNotDirect) {
		t.Errorf("refused: %v, %v", answered, err)
	}
	if x.server != 1700000900000 {
		t.Errorf("the server's clock is at %d", x.server)
	}
	x.heard = x.heard.Add(-time.Second) // an answer that was there for long: its clock says less
	if x.hear(1700000900010, 1700000900000); x.server != 1700000900000 {
		t.Errorf("the server's clock is at %d", x.server)
	}
	created()
	for range 2 {
		if _, answered, err := call(); !answered || !errors.Is(err, ErrFull) || Unanswered(err) {
			t.Errorf("a full server: %v, %v", answered, err)
		}
	}
	created()
	if _, answered, err := call(); !answered || !Unanswered(err) || !strings.Contains(err.Error(), "NOPERM no") {
		t.Errorf("not allowed: %v, %v", answered, err)
	}
	if _, direct := x.directly(directCall(t, 8)); direct {
		t.Error("it goes on with direct calls")
	}
}

// What is known of the server's clock does not outlive it being set back, however soon that is: a call is void in its time.
func TestServerClockIsSetBack(t *testing.T) {
	const before, after = 1700000060000, 1700000001000
	call := func(at int64) string {
		return directAnswer + "*4\r\n:" + strconv.FormatInt(at, 10) + "\r\n:8\r\n:20\r\n:0\r\n"
	}
	x, send := directAnswering(t, call(before), call(before+20_000), call(after))
	for range 2 {
		_, _, err := send()
		if err != nil {
			t.Fatal(err)
		}
	}
	if now := x.clock(time.Now()); now < before+20_000 {
		t.Errorf("the clock is at %d", now)
	}
	if _, _, err := send(); err != nil {
		t.Fatal(err)
	}
	if now := x.clock(time.Now()); now < after || now > after+10_000 {
		t.Errorf("after it was set back the clock is held for %d, %d later", now, now-after)
	}
}

// Where a call that was refused has been stored all the same there are no more.
func TestDirectThatIsNotStopped(t *testing.T) {
	x, call := directAnswering(t, directAnswer+"*4\r\n:-1700000000000\r\n:8\r\n:8\r\n:0\r\n")
	if _, answered, err := call(); !answered || !Unanswered(err) || !errors.Is(err, errNotStopped) || x.direct {
		t.Errorf("%v, %v, direct calls %v", answered, err, x.direct)
	}
}

// What is no answer to the call leaves it open, and the connection is not used again.
func TestDirectRefusesOtherAnswers(t *testing.T) {
	for _, answer := range []string{"", "+OK\r\n", strings.Repeat("+OK\r\n", 6), directAnswer + "*-1\r\n", directAnswer + "*3\r\n", directAnswer + "-ERR no\r\n",
		directAnswer + "*4\r\n:1\r\n:7\r\n:20\r\n:0\r\n", directAnswer + "*4\r\n:1\r\n-WRONGTYPE\r\n:20\r\n:0\r\n", directAnswer + "*4\r\n:1\r\n:8\r\n",
		directAnswer + "*4\r\n$1\r\n1\r\n:8\r\n:8\r\n:0\r\n", "-NOPERM multi\r\n:1\r\n:8\r\n:8\r\n:0\r\n-ERR EXEC without MULTI\r\n"} {
		x, call := directAnswering(t, answer)
		if outcomes, answered, err := call(); err == nil || answered || outcomes != nil || errors.As(err, new(redis.Error)) {
			t.Errorf("%q: %v, %v, %v", answer, outcomes, answered, err)
		}
		if x.Free(); x.conn != nil {
			t.Errorf("%q: it is used on", answer)
		}
	}
}

// A new connection has direct calls where the server lets it begin a transaction, and end it.
func TestWhoMayMakeDirectCalls(t *testing.T) {
	queued := strings.Repeat("+QUEUED\r\n", 5)
	for answer, want := range map[string]struct{ may, usable bool }{
		"+OK\r\n" + queued + "+OK\r\n":                                                  {true, true},
		"+OK\r\n-NOPERM rename\r\n" + queued[len("+QUEUED\r\n"):] + "+OK\r\n":           {false, true},
		"-NOPERM\r\n" + strings.Repeat("-ERR no such key\r\n", 4) + ":0\r\n-ERR no\r\n": {false, true},
		"+OK\r\n" + queued + "-NOPERM\r\n":                                              {false, false},
		"+OK\r\n+QUEUED\r\n":                                                            {false, false},
	} {
		here, there := net.Pipe()
		go func() {
			_, _ = there.Read(make([]byte, 1024))
			_, _ = io.WriteString(there, answer)
			_ = there.Close()
		}()
		may, err := transacts(context.Background(), here, directCall(t, 1).Queue)
		if may != want.may || (err == nil) != want.usable {
			t.Errorf("%q: %v, %v", answer, may, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	here, _ := net.Pipe()
	if may, err := transacts(ctx, here, directCall(t, 1).Queue); may || err == nil {
		t.Errorf("who does not answer, and the end: %v, %v", may, err)
	}
}

func BenchmarkEnqueueDirect(b *testing.B) {
	for _, n := range []int{16, 256} {
		c := directCall(b, n)
		b.Run(size(n), func(b *testing.B) {
			var buf []byte
			b.ReportAllocs()
			for b.Loop() {
				buf = appendDirect(buf[:0], c, 0, 1700000000000)
				_, _ = io.Discard.Write(buf)
			}
		})
	}
}

func TestDirectCallAllocations(t *testing.T) {
	c := directCall(t, 256)
	c.After = &Stamp{Producer: c.Stamp.Producer, Lane: 7, Seq: 8}
	x := &Express{direct: true, knows: true, heard: time.Now()}
	var buf []byte
	if got := testing.AllocsPerRun(100, func() {
		if _, direct := x.directly(c); !direct {
			t.Fatal("not direct")
		}
		buf = appendDirect(buf[:0], c, 0, 1700000000000)
	}); got > expressAllocations {
		t.Errorf("a direct call allocates %v times, allowed are %d", got, expressAllocations)
	}
}
