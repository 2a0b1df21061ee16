package pubsub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
)

const (
	consumerURL = "TIDEMILL_TEST_DURABLE_URL" // where the consumer's process finds Redis,
	consumerLog = "TIDEMILL_TEST_DURABLE_LOG" // and where it notes what it got
)

// TestConsumerProcess is no test: it is what a consumer's process runs.
func TestConsumerProcess(t *testing.T) {
	url := os.Getenv(consumerURL)
	if url == "" {
		return
	}
	ctx := context.Background()
	log, err := os.OpenFile(os.Getenv(consumerLog), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Open(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDurable[order](c, "orders")
	if err != nil {
		t.Fatal(err)
	}
	m, err := d.Subscribe(ctx, "g", MemberTTL(2*time.Second), Backoff(10*time.Millisecond, time.Second))
	if err != nil {
		t.Fatal(err)
	}
	err = m.Handle(ctx, func(_ context.Context, msg *Message[order]) error {
		_, err := fmt.Fprintf(log, "%d\n", msg.Data.N)
		if msg.Data.N%50 == 0 && msg.Attempt == 1 {
			return errors.New("once")
		}
		return err
	}, Concurrency(4))
	t.Fatalf("the consumer ended: %v", err)
}

// crew is the consumers' processes.
type crew struct {
	t    *testing.T
	url  string
	log  string
	pids []*exec.Cmd
}

func (c *crew) start() {
	c.t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestConsumerProcess$")
	cmd.Env = append(os.Environ(), consumerURL+"="+c.url, consumerLog+"="+c.log)
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.pids = append(c.pids, cmd)
}

// kill ends the oldest process as kill -9 does.
func (c *crew) kill() {
	cmd := c.pids[0]
	c.pids = c.pids[1:]
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// seen reads what the processes got, by number.
func (c *crew) seen() map[int]int {
	c.t.Helper()
	text, err := os.ReadFile(c.log)
	if err != nil && !os.IsNotExist(err) {
		c.t.Fatal(err)
	}
	all := make(map[int]int)
	for line := range bytes.Lines(text) {
		if n, err := strconv.Atoi(string(bytes.TrimSpace(line))); err == nil {
			all[n]++
		}
	}
	return all
}

// publishSteadily publishes ten orders each 5 ms, and notes those that were stored.
func (r *rig) publishSteadily(ctx context.Context, stored map[int]bool) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for n := 1; ctx.Err() == nil; n += 10 {
		<-tick.C
		batch := make([]order, 10)
		for i := range batch {
			batch[i].N = n + i
		}
		if _, err := r.topic.PublishMany(context.Background(), batch); err == nil {
			for _, one := range batch {
				stored[one.N] = true
			}
		}
	}
}

// Consumers die by kill -9 and Redis is restarted by the same: every message whose publish was answered is delivered.
func TestKilledConsumersAndRedis(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t, redistest.WithAOF("always"))
	r := newRig(t, redistest.Client(t, srv))
	c := &crew{t: t, url: srv.URL(), log: filepath.Join(t.TempDir(), "seen")}
	for range 3 {
		c.start()
	}
	defer func() {
		for len(c.pids) > 0 {
			c.kill()
		}
	}()
	stored := make(map[int]bool) // the publisher's, until it ends
	ctx, cancel := context.WithCancel(t.Context())
	var publisher sync.WaitGroup
	publisher.Go(func() { r.publishSteadily(ctx, stored) })
	for round := 1; round <= 6; round++ {
		before := len(c.seen())
		redistest.WaitFor(t, time.Minute, func() bool { return len(c.seen()) > before+200 }, "progress")
		c.kill()
		c.start()
		if round == 3 {
			srv.Kill()
			if err := srv.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	cancel()
	publisher.Wait()
	missing := func() (n int) {
		seen := c.seen()
		for id := range stored {
			if seen[id] == 0 {
				n++
			}
		}
		return n
	}
	redistest.WaitFor(t, time.Minute, func() bool {
		if _, err := r.client.Streams().Redrive(t.Context(), "orders", "g"); err != nil { // what saw three die, and was not to blame
			t.Fatal(err)
		}
		return missing() == 0
	}, "every message that was stored")
	redistest.WaitFor(t, time.Minute, func() bool {
		g := r.group("g")
		return g.Pending == 0 && g.Lag == 0
	}, "every message to be acknowledged")
	again := 0
	for _, n := range c.seen() {
		again += n - 1
	}
	t.Logf("%d messages stored, %d deliveries more", len(stored), again)
}

// A member that was cut off for longer than its TTL finds its messages with another, is told so, and goes on.
func TestMemberCutOffComesBack(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	proxy := redistest.NewProxy(t, srv.Addr())
	far, near := newRig(t, proxy.Client()), newRig(t, redistest.Client(t, srv))
	first := far.join("g", MemberTTL(2*time.Second))
	second := near.join("g", MemberTTL(2*time.Second))
	ctx, cancel := context.WithCancel(t.Context())
	began, ended, after := make(chan int, 10), make(chan error, 1), make(chan int, 10)
	done := make(chan error)
	go func() {
		done <- first.Handle(ctx, func(ctx context.Context, msg *Message[order]) error {
			if msg.Data.N > 1 {
				after <- msg.Data.N
				return nil
			}
			began <- msg.Data.N
			<-ctx.Done()
			ended <- context.Cause(ctx)
			return ctx.Err()
		})
	}()
	redistest.WaitFor(t, time.Minute, func() bool { // whoever waits gets it
		far.publish(1, 1)
		return len(began) > 0
	}, "the first member to have a message")
	proxy.Refuse(true)
	proxy.Cut()
	taken := near.client.Stats().Redelivered
	for taken == near.client.Stats().Redelivered {
		nextAny(t, second)
	}
	proxy.Refuse(false)
	if cause := <-ended; !errors.Is(cause, ErrSessionLost) {
		t.Errorf("the handler ended with %v", cause)
	}
	second.Close()
	near.publish(2, 2)
	if n := <-after; n != 2 {
		t.Errorf("got %d", n)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	first.Close()
	if g := near.group("g"); g != (GroupInfo{Group: "g"}) {
		t.Errorf("%+v", g)
	}
}

// nextAny takes whatever comes, and acknowledges it.
func nextAny(t *testing.T, m *Member[order]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	msg, err := m.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ack(t, msg)
}
