//go:build unix

package chaos

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// arena is the server, the processes, and what is between them.
type arena struct {
	testing.TB
	o        Options
	dir      string
	server   *redisserver.Server // where there is one
	sentinel *redistest.Sentinel // where there is a replica
	slots    map[string][]*slot  // by role
	links    map[string][]*link  // by role, where connections are to suffer
	client   *queue.Client       // the operator's, past every proxy
	start    time.Time

	outage sync.Mutex // one thing at a time happens to the server
	mu     sync.Mutex // guards what follows
	report []Strike
	errs   []error
}

// link is what is between a slot and the server. One fault at a time has it.
type link struct {
	*redistest.Proxy
	sync.Mutex
}

// fail notes what keeps the harness itself from working.
func (a *arena) fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.errs = append(a.errs, err)
}

func (a *arena) must() {
	a.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, err := range a.errs {
		a.Errorf("harness: %v", err)
	}
	if len(a.errs) > 0 {
		a.FailNow()
	}
}

func newArena(t testing.TB, o Options) *arena {
	t.Helper()
	a := &arena{TB: t, o: o, dir: t.TempDir(), slots: make(map[string][]*slot), links: make(map[string][]*link)}
	url := a.serve()
	client, err := queue.Open(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	a.client = client
	t.Cleanup(func() { _ = client.Close() })
	a.fill(roleWorker, o.Workers, url)
	a.fill(roleProducer, o.Producers, url)
	t.Cleanup(func() {
		for _, slots := range a.slots {
			for _, s := range slots {
				s.retire(killSignal, time.Second)
			}
		}
	})
	return a
}

// serve starts the server, and answers its URL.
func (a *arena) serve() string {
	a.Helper()
	if a.o.has(Failover) {
		a.sentinel = redistest.NewSentinel(a, 1, 1)
		return a.sentinel.URL()
	}
	a.server = redistest.Server(a, redistest.WithAOF("always"))
	return a.server.URL()
}

// fill makes the slots of a role, each behind a proxy of its own where connections are to suffer.
func (a *arena) fill(name string, n int, url string) {
	a.Helper()
	for i := range n {
		r := role{Role: name, Slot: i, URL: url, Dir: a.dir, Seed: a.o.Seed, TTL: a.o.TTL, Confirmed: a.sentinel != nil}
		if name == roleProducer {
			r.Jobs = a.o.Jobs / n
			if i == 0 {
				r.Jobs += a.o.Jobs % n
			}
			r.Rate = 1.1 * float64(r.Jobs) / a.o.Duration.Seconds() // lives that are cut short lose some time
		}
		if a.o.has(Link) || a.o.has(Loss) {
			proxy := redistest.NewProxy(a, a.server.Addr())
			r.URL = strings.Replace(url, a.server.Addr(), proxy.Addr(), 1)
			a.links[name] = append(a.links[name], &link{Proxy: proxy})
			if a.o.has(Loss) {
				proxy.DropReply(oneIn(a.o.LossOneIn, a.o.Seed, uint64(i)))
			}
		}
		a.slots[name] = append(a.slots[name], &slot{role: r})
	}
}

// oneIn chooses one command in so many by chance.
func oneIn(n int, seed, stream uint64) redistest.Pred {
	rnd := rand.New(rand.NewPCG(seed, 1000+stream))
	return func(cmd string, _ []string) bool { return cmd != "HELLO" && rnd.IntN(n) == 0 }
}

// rdb is a client of the server that takes writes.
func (a *arena) rdb() *redis.Client {
	a.Helper()
	if a.sentinel != nil {
		return redistest.Client(a, a.sentinel.Primary(a))
	}
	return redistest.Client(a, a.server)
}
