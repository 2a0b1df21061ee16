package matrix

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// blocked answers the addresses of the workers' connections that wait in a blocking pop at a server.
func blocked(ctx context.Context, rdb *redis.Client) (addrs []string) {
	for _, line := range strings.Split(rdb.ClientList(ctx).Val(), "\n") {
		if strings.Contains(line, "name=tidemill:blocking") && strings.Contains(line, "cmd=blpop") && strings.Contains(line, "flags=b") {
			_, addr, _ := strings.Cut(line, " addr=")
			addr, _, _ = strings.Cut(addr, " ")
			addrs = append(addrs, addr)
		}
	}
	return addrs
}

// Every connection of a worker dies without a word while it waits for work (half-open: a proxy on the way hangs, and the
// kernel sees nothing). The heartbeat notices first, and the blocking call is made anew over another connection.
func TestBlackHole(t *testing.T) {
	r := onServer(t)
	p := redistest.NewProxy(t, r.srv.Addr())
	var l ledger
	r.start(r.open("redis://"+p.Addr()), l.sleeper(), worker.Config{Concurrency: 50})
	r.addAll(2000, nap{MS: 1}) // so that there are idle connections of all sorts
	r.drained()
	var dead []string
	r.wait("it to wait for work", func() bool { dead = blocked(r.ctx, r.rdb); return len(dead) == 1 })
	p.BlackHole(false)
	began := time.Now()
	r.add(nap{}) // its token goes to the connection that nobody hears any more
	var waits, runs time.Duration
	r.wait("a new connection to wait for work, and the job to run", func() bool {
		if now := blocked(r.ctx, r.rdb); waits == 0 && len(now) > 0 && !slices.Equal(now, dead) {
			waits = time.Since(began)
		}
		if runs == 0 && l.jobs() == 2001 {
			runs = time.Since(began)
		}
		return waits > 0 && runs > 0
	})
	t.Logf("another connection waited for work after %v, a job enqueued into the silence started after %v",
		waits.Round(time.Millisecond), runs.Round(time.Millisecond))
	if waits > 5*time.Second+slack(began) || runs > 10*time.Second+slack(began) {
		t.Errorf("waiting again took %v, the job %v", waits, runs)
	}
	r.drained()
	began = time.Now()
	r.add(nap{})
	r.wait("the next job to run", func() bool { return l.jobs() == 2002 })
	if took := time.Since(began); took > 3*time.Second+slack(began) { // the dead connection's token would take 10 s
		t.Errorf("the next job took %v", took)
	}
	r.silent("session lost")
}

// The line to Redis goes silent, for new connections too: the worker says so, and once the line is back it is ready again
// and goes on under its session.
func TestReadinessInABlackHole(t *testing.T) {
	r := onServer(t)
	p := redistest.NewProxy(t, r.srv.Addr())
	var l ledger
	w := r.start(r.open("redis://"+p.Addr()), l.sleeper(), worker.Config{SessionTTL: 2 * time.Second})
	r.wait("it to be ready", func() bool { return w.Health().Ready })
	heal := p.BlackHole(true)
	began := time.Now()
	r.wait("it to say that it is not ready", func() bool { return !w.Health().Ready })
	t.Logf("not ready after %v: %v", time.Since(began).Round(time.Millisecond), w.Health().Reasons)
	r.add(nap{})
	r.pass(3 * time.Second)
	if h := w.Health(); h.Ready || len(h.Reasons) == 0 || l.jobs() != 0 {
		t.Errorf("%d jobs ran; %+v", l.jobs(), h)
	}
	heal()
	r.wait("it to be ready again", func() bool { return w.Health().Ready })
	r.wait("the job", func() bool { return l.jobs() == 1 })
	r.drained()
	if n := r.counts(); n.Succeeded != 1 || n.Recovered != 0 {
		t.Errorf("%+v", n)
	}
	r.silent("session lost")
}

// With as few connections as there can be, one of them for all commands of a hundred handlers, acknowledgements wait for
// nobody.
func TestFewConnections(t *testing.T) {
	r := onServer(t)
	var mu sync.Mutex
	returned := make(map[string]time.Time)
	mux := worker.NewMux()
	worker.Handle(mux, func(_ context.Context, job *queue.Job[nap]) error {
		job.Args.sleep()
		mu.Lock()
		returned[job.ID.String()] = time.Now()
		mu.Unlock()
		return nil
	}, worker.RetainResult(time.Hour))
	client := r.open(r.url, queue.Config{MaxConnections: 4})
	p := r.start(client, mux, worker.Config{Concurrency: 100})
	const jobs = 2000
	began := time.Now()
	r.addAll(jobs, nap{MS: 20})
	watched := acknowledged(r, jobs)
	mu.Lock()
	var late []time.Duration
	for id, at := range returned {
		late = append(late, watched[id].Sub(at))
	}
	mu.Unlock()
	slices.Sort(late)
	if len(late) != jobs {
		t.Fatalf("%d jobs returned", len(late))
	}
	t.Logf("%d jobs of 20 ms in 100 slots took %v; acknowledged after p50 %v, p99 %v, most %v", jobs, time.Since(began).Round(time.Millisecond),
		late[jobs/2].Round(time.Millisecond), late[jobs*99/100].Round(time.Millisecond), late[jobs-1].Round(time.Millisecond))
	if late[jobs*99/100] > slack(began) {
		t.Errorf("99 of 100 acknowledgements were there after %v only", late[jobs*99/100])
	}
	pool, ok := client.Redis().(*redis.Client)
	if !ok {
		t.Fatalf("the client is a %T", client.Redis())
	}
	if stats := pool.PoolStats(); stats.Timeouts != 0 || stats.TotalConns > 1 {
		t.Errorf("%+v", stats)
	}
	names := 0
	for _, line := range strings.Split(r.rdb.ClientList(r.ctx).Val(), "\n") {
		if strings.Contains(line, "name=tidemill") {
			names++
		}
	}
	if names-2 > 4 { // the test's own client has two
		t.Errorf("%d connections", names-2)
	}
	if n := r.counts(); n.Succeeded != jobs || n.Recovered != 0 || n.Refused != 0 {
		t.Errorf("%+v", n)
	}
	r.silent(`"level":"warn"`, `"level":"error"`)
	if err := p.stop(); err != nil {
		t.Error(err)
	}
}

// acknowledged looks when each job leaves the running ones, by a look every few ms.
func acknowledged(r *rig, jobs int) map[string]time.Time {
	r.Helper()
	at := make(map[string]time.Time, jobs)
	r.wait("all acknowledgements", func() bool {
		all, err := r.rdb.ZRange(r.ctx, "tm:{default}:finished", 0, -1).Result()
		r.must(err)
		now := time.Now()
		for _, raw := range all {
			if _, seen := at[raw]; !seen {
				at[raw] = now
			}
		}
		return len(at) == jobs
	})
	byText := make(map[string]time.Time, jobs)
	for raw, when := range at {
		byText[uuidText(raw)] = when
	}
	return byText
}
