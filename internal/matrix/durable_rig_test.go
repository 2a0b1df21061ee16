package matrix

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/pubsub"
)

// consumers is a group of the topic "notes": processes, members of this one, and a publisher.
type consumers struct {
	t      *testing.T
	url    string
	logs   *book
	client *pubsub.Client
	topic  *pubsub.Durable[note]
	ttl    time.Duration

	all    []*consumer
	quit   chan struct{}
	done   chan struct{} // of the publisher; then stored is to be read
	stored []note        // whose publish was answered
	at     []time.Time   // and when
}

// consumer is a member of the group: a process, or one of this process.
type consumer struct {
	*child
	name   string
	killed time.Time // zero: it was not

	mu  sync.Mutex
	own []delivery // of one in this process
}

// delivery is a note that somebody got.
type delivery struct {
	n    int
	at   time.Time
	by   *consumer
	done bool
}

func newConsumers(t *testing.T, url string) *consumers {
	t.Helper()
	c := &consumers{t: t, url: url, logs: &book{}, ttl: 2 * time.Second, quit: make(chan struct{}), done: make(chan struct{})}
	client, err := pubsub.Open(t.Context(), url, pubsub.Config{Logger: zerolog.New(c.logs).Level(zerolog.InfoLevel)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	c.client = client
	if c.topic, err = pubsub.NewDurable[note](client, "notes"); err != nil {
		t.Fatal(err)
	}
	return c
}

// start starts a process.
func (c *consumers) start() *consumer {
	c.t.Helper()
	one := &consumer{child: startChild(c.t, spec{URL: c.url, Group: "g", TTL: c.ttl, Concurrency: 8})}
	one.name = fmt.Sprintf("process %d", one.Process.Pid)
	c.all = append(c.all, one)
	return one
}

// join makes a member of this process, whose handler is called for each note. It ends with the test at the latest.
func (c *consumers) join(ttl time.Duration, handle func(ctx context.Context, n int)) *consumer {
	c.t.Helper()
	m, err := c.topic.Subscribe(c.t.Context(), "g", pubsub.MemberTTL(ttl))
	if err != nil {
		c.t.Fatal(err)
	}
	one := &consumer{name: fmt.Sprintf("member %d", len(c.all))}
	c.all = append(c.all, one)
	var running sync.WaitGroup
	running.Go(func() {
		err := m.Handle(context.Background(), func(ctx context.Context, msg *pubsub.Message[note]) error {
			one.mu.Lock()
			one.own = append(one.own, delivery{n: msg.Data.N, at: time.Now(), by: one, done: true})
			one.mu.Unlock()
			handle(ctx, msg.Data.N)
			return nil
		})
		if err != nil {
			c.t.Errorf("%s: %v", one.name, err)
		}
	})
	c.t.Cleanup(func() {
		m.Close()
		running.Wait()
	})
	return one
}

// kill is kill -9.
func (c *consumers) kill(one *consumer) {
	c.t.Helper()
	one.killed = time.Now()
	one.Kill()
}

// deliveries are those of a consumer so far.
func (o *consumer) deliveries() (out []delivery) {
	if o.child == nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		return slices.Clone(o.own)
	}
	did := make(map[int]bool)
	for _, line := range o.Lines("did") {
		var n int
		if _, err := fmt.Sscan(line, &n); err == nil {
			did[n] = true
		}
	}
	for _, line := range o.Lines("got") {
		var n int
		var at int64
		if _, err := fmt.Sscan(line, &n, &at); err == nil {
			out = append(out, delivery{n: n, at: time.Unix(0, at), by: o, done: did[n]})
		}
	}
	return out
}

// byNote are all deliveries so far, of each note in the order of time.
func (c *consumers) byNote() map[int][]delivery {
	all := make(map[int][]delivery)
	for _, one := range c.all {
		for _, d := range one.deliveries() {
			all[d.n] = append(all[d.n], d)
		}
	}
	for _, list := range all {
		slices.SortFunc(list, func(a, b delivery) int { return a.at.Compare(b.at) })
	}
	return all
}

// publish begins to publish five notes each 10 ms, until cease.
func (c *consumers) publish() {
	c.t.Cleanup(c.cease)
	go func() {
		defer close(c.done)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for n := 1; ; n += 5 {
			select {
			case <-c.quit:
				return
			case <-tick.C:
			}
			c.store(n, 5)
		}
	}()
}

// store publishes notes and remembers those that Redis took.
func (c *consumers) store(from, count int) {
	batch := make([]note, count)
	for i := range batch {
		batch[i] = note{N: from + i, MS: 60}
	}
	if _, err := c.topic.PublishMany(context.Background(), batch); err != nil {
		return
	}
	for _, one := range batch {
		c.stored, c.at = append(c.stored, one), append(c.at, time.Now())
	}
}

// cease ends the publisher.
func (c *consumers) cease() {
	select {
	case <-c.quit:
	default:
		close(c.quit)
	}
	<-c.done
}

// progress waits until so many notes more were delivered.
func (c *consumers) progress(more int) {
	c.t.Helper()
	had := len(c.byNote())
	c.wait("deliveries", func() bool { return len(c.byNote()) >= had+more })
}

// wait polls what takes a while to look at.
func (c *consumers) wait(what string, cond func() bool) {
	c.t.Helper()
	var last time.Time
	redistest.WaitFor(c.t, patience, func() bool {
		if time.Since(last) < 30*time.Millisecond {
			return false
		}
		last = time.Now()
		return cond()
	}, what)
}

// settled waits until the group has nothing left to do.
func (c *consumers) settled() {
	c.t.Helper()
	c.wait("the group to be through", func() bool {
		info, err := c.client.Streams().Info(c.t.Context(), "notes")
		return err == nil && len(info.Groups) == 1 && info.Groups[0].Pending == 0 && info.Groups[0].Lag == 0
	})
}
