package queue_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// The trap of WAIT: on a connection that has written nothing it confirms everything. A call that is sent again because its
// reply was lost goes over a new connection, and is answered from its record without a write; and one whose script the server
// forgot goes behind the wait. Neither may pass for confirmed while the replica is at a standstill.
func TestDurabilityOfACallSentAgain(t *testing.T) {
	redistest.EachReplicated(t, 1, func(t *testing.T, all []*redisserver.Server) {
		c, p := behind(t, all[0])
		direct := redistest.Client(t, all[0])
		enqueue(t, c, email{"warm"}, queue.Durable(patient))
		if err := all[1].Freeze(); err != nil {
			t.Fatal(err)
		}
		if n := bareWait(t, all[0]); n != ":1" {
			t.Errorf("a wait alone says %q: then this shows less", n)
		}
		for name, lose := range map[string]func(){
			"the script's reply is lost": func() { p.DropReply(redistest.Once(scripts)) },
			"the wait's reply is lost":   func() { p.DropReply(redistest.Once(redistest.On("WAIT"))) },
			"the script is forgotten":    func() { direct.ScriptFlush(t.Context()) },
		} {
			lose()
			id, err := c.Enqueue(t.Context(), email{name}, queue.Durable(one))
			t.Log(name)
			expectNotConfirmed(t, err, id, 0, 1)
			lose()
			results, err := c.EnqueueMany(t.Context(), queue.Items(make([]email, 1200), queue.Durable(one)))
			if !errors.Is(err, queue.ErrNotConfirmed) {
				t.Errorf("a batch: %v", err)
			}
			for _, r := range results {
				expectNotConfirmed(t, r.Err, r.ID, 0, 1)
			}
		}
		if p.Dropped() != 4 {
			t.Errorf("%d replies were lost of 4", p.Dropped())
		}
		if err := all[1].Thaw(); err != nil {
			t.Fatal(err)
		}
		p.DropReply(redistest.Once(scripts))
		enqueue(t, c, email{"thawed"}, queue.Durable(patient))
		expectReady(t, c, "default", 2+3*1201)
	})
}

// Waiting ends with the caller's context, and what was stored by then is told as stored.
func TestDurabilityEndsWithTheContext(t *testing.T) {
	all := redistest.NewReplicated(t, 0)
	c := open(t, all[0].URL())
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	began := time.Now()
	results, err := c.EnqueueMany(ctx, queue.Items(make([]email, 3)), queue.Durable(patient))
	var e *queue.NotConfirmedError
	if !errors.As(err, &e) || !errors.Is(e.Err, context.DeadlineExceeded) || e.ID != results[0].ID || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it says %v", err)
	}
	if time.Since(began) > 20*time.Second {
		t.Error("it waited on")
	}
	expectReady(t, c, "default", 3)
	// A long wait goes on beyond what one reply may take.
	waits := queue.Durability{Replicas: 1, Timeout: 2500 * time.Millisecond}
	quick := open(t, all[0].URL()+"?read_timeout=400ms")
	began = time.Now()
	id, err := quick.Enqueue(t.Context(), email{"x"}, queue.Durable(waits))
	expectNotConfirmed(t, err, id, 0, 1)
	if took := time.Since(began); took < 2400*time.Millisecond {
		t.Errorf("it waited %v", took)
	}
}

// A demand is met by what comes later, and jobs of one batch are judged each by its own.
func TestDurabilityEachByItsOwn(t *testing.T) {
	all := redistest.NewReplicated(t, 1)
	c := open(t, all[0].URL())
	two, one := one, one
	two.Replicas, one.Timeout = 2, 3*time.Second
	results, err := c.EnqueueMany(t.Context(), []queue.Item{
		{Args: email{"none"}},
		{Args: email{"two"}, Options: []queue.Option{queue.Durable(two)}},
		{Args: email{"one"}, Options: []queue.Option{queue.Durable(one)}},
		{Args: email{"none"}, Options: []queue.Option{queue.ID("a")}},
		{Args: email{"one"}, Options: []queue.Option{queue.Durable(one), queue.ID("a")}},
	})
	var batch *queue.BatchError
	if !errors.As(err, &batch) || batch.Failed != 1 || batch.Unconfirmed != 1 || !errors.Is(batch.First, queue.ErrDuplicate) {
		t.Fatalf("%+v", err)
	}
	expectNotConfirmed(t, results[1].Err, results[1].ID, 1, 2)
	for _, i := range []int{0, 2, 3} {
		if results[i].Err != nil {
			t.Errorf("job %d: %v", i, results[i].Err)
		}
	}
	if err := results[4].Err; !errors.Is(err, queue.ErrDuplicate) || errors.Is(err, queue.ErrNotConfirmed) {
		t.Errorf("the duplicate: %v", err)
	}
}

// bareWait is what the first command of a connection answers when it is a WAIT for one replica.
func bareWait(t *testing.T, srv *redisserver.Server) string {
	t.Helper()
	c, err := net.Dial("tcp", srv.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Write([]byte("WAIT 1 100\r\n")); err != nil {
		t.Fatal(err)
	}
	answer, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(answer)
}

// Whatever the server's version, a write of the connection's own goes before each wait behind a call; jobs that want nothing
// send nothing of it.
func TestDurabilityWritesBeforeItWaits(t *testing.T) {
	t.Parallel()
	srv := redistest.NewReplicated(t, 1)[0]
	c := open(t, srv.URL())
	enqueue(t, c, email{"warm"}, queue.Durable(patient))
	enqueue(t, c, email{"warm"})
	withExpress(t, c)
	seen := redistest.NewMonitor(t, srv)
	enqueue(t, c, email{"confirmed"}, queue.Durable(patient))
	if n := seen.Count("HSET"); n != 1 {
		t.Errorf("%d writes of its own, want 1", n)
	}
	for i, line := range seen.Lines() {
		if strings.HasPrefix(line, "WAIT") && (i < 2 || !strings.HasPrefix(seen.Lines()[i-1], "HSET") || !strings.HasPrefix(seen.Lines()[i-2], "EVALSHA")) {
			t.Errorf("before the wait came %q", seen.Lines()[:i])
		}
	}
	seen.Reset()
	enqueue(t, c, email{"plain"})
	if n := seen.Count(); n != 1 {
		t.Errorf("a plain enqueue sends %q", seen.Lines())
	}
}
