package main_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

func TestQueues(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	o := operate(t, srv.URL())
	if got := o.says("queues list"); got != "" {
		t.Errorf("without queues: %s", got)
	}
	client := zoo(t, srv.URL())
	enqueue(t, client, "noop", `{}`, queue.Queue("reports"))
	start(t, o.env, workerPath, "run", "--queues", "idle")
	redistest.WaitFor(t, soon, func() bool { return len(workers(t, client)) == 1 }, "a worker")
	const table = `QUEUE    READY  SCHEDULED  RUNNING  DEAD  FINISHED  WORKERS
default      2          2        0     3         2        0
idle         0          0        0     0         0        1
reports      1          0        0     0         0        0  paused
`
	o.table([][3]any{
		{"queues pause reports", 0, "paused reports\n"},
		{"queues list", 0, table},
		{"queues list reports --json", 0,
			`{"name":"reports","ready":1,"suspect":0,"scheduled":0,"running":0,"dead":0,"finished":0,"paused":true,"workers":0}` + "\n"},
		{"queues pause --all", 0, "paused default\npaused idle\nreports was paused already\n"},
		{"queues resume default reports --json", 0,
			`{"queue":"default","paused":false,"changed":true}` + "\n" + `{"queue":"reports","paused":false,"changed":true}` + "\n"},
		{"queues pause default --all", 2, "give QUEUE or --all, not both"},
		{"queues purge default", 2, "--state is needed; allowed: ready, scheduled, dead, finished"},
		{"queues purge default --state succeeded --yes", 2, `--state "succeeded": allowed: ready, scheduled, dead, finished; for these alone: worker jobs delete default --state succeeded`},
		{"queues purge default --state dead", 2, "stdin is no terminal"},
		{"queues purge default --state dead --dry-run", 0, "3 jobs would be forgotten\n"},
		{"queues purge default --state dead --yes", 0, "3 jobs forgotten\n"},
		{"queues purge default --state dead --yes --json", 0, `{"queue":"default","state":"dead","dry_run":false,"matched":0,"deleted":0}` + "\n"},
		{"queues purge default --state finished --yes", 0, "2 jobs forgotten\n"},
		{"queues delete reports", 2, "stdin is no terminal"},
		{"queues delete reports --yes", 1, `delete queue "reports": it is in use: jobs: 1 ready`},
		{"queues purge reports --state ready --yes", 0, "1 job forgotten\n"},
		{"queues delete reports --yes", 0, "deleted queue reports\n"},
		{"queues delete idle --yes", 1, `delete queue "idle": it is in use: no jobs; workers that serve it: 1`},
		{"queues list --json", 0, `{"name":"default"`},
	})
	if got := o.says("queues list"); strings.Contains(got, "reports") {
		t.Errorf("still there:\n%s", got)
	}
}

func TestStatsWatch(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := open(t, srv.URL())
	enqueue(t, client, "noop", `{}`)
	p := start(t, []string{"REDIS_URL=" + srv.URL()}, workerPath, "stats", "--watch", "--every", "100ms", "--json")
	p.says(&p.out, `"ready":1,`)
	enqueue(t, client, "noop", `{}`)
	p.says(&p.out, `"ready":2,`)
	p.signal(os.Interrupt)
	p.wantCode(0)
	operate(t, srv.URL()).table([][3]any{
		{"stats --every 5s", 2, "--every goes with --watch"},
		{"stats --watch --every 1ms", 2, "--every 1ms: allowed: 100ms or more"},
	})
}

// A watch outlives an outage.
func TestStatsWatchOutage(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	enqueue(t, open(t, srv.URL()), "noop", `{}`)
	proxy := redistest.NewProxy(t, srv.Addr())
	p := start(t, nil, workerPath, "stats", "--watch", "--every", "100ms", "--json", "--redis", "redis://"+proxy.Addr())
	p.says(&p.out, `"ready":1,`)
	proxy.Refuse(true)
	proxy.Cut()
	p.says(&p.err, "waiting for Redis")
	before := strings.Count(p.out.String(), "\n")
	proxy.Refuse(false)
	redistest.WaitFor(t, soon, func() bool { return strings.Count(p.out.String(), "\n") > before+1 }, "counts after the outage")
	p.signal(os.Interrupt)
	p.wantCode(0)
}

func TestWorkers(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := open(t, srv.URL())
	o := operate(t, srv.URL())
	o.table([][3]any{
		{"workers list", 0, ""},
		{"workers quiet", 2, "give INSTANCE"},
		{"workers quiet x --all", 2, "give INSTANCE or --all, not both"},
		{"workers quiet x", 1, `no worker "x": there are none`},
		{"workers stop --all", 2, "stdin is no terminal"},
		{"workers stop x --wait 0s", 2, "--wait 0s: allowed: more than 0s"},
		{"workers stop --all --yes", 0, ""},
		{"workers log-level", 2, "the last argument is a log level; allowed: debug, info, warn, error"},
		{"workers log-level --all loud", 2, `the last argument is a log level, and "loud" is none; allowed: debug, info, warn, error`},
		{"workers log-level debug", 2, "give INSTANCE"},
		{"workers log-level x --all debug", 2, "give INSTANCE or --all, not both"},
		{"workers log-level x debug", 1, `no worker "x": there are none`},
		{"workers log-level --all debug", 0, ""},
	})
	enqueue(t, client, "sleep", `{"duration":"20s"}`)
	first := start(t, append(debug, o.env...), workerPath, "run", "--queues", "default,other", "--concurrency", "3", "--drain", "0s")
	first.sleeps()
	second := start(t, o.env, workerPath, "run", "--queues", "other")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("tm:workers: %v", client.Redis().HGetAll(context.Background(), "tm:workers"))
		}
	})
	redistest.WaitFor(t, soon, func() bool { return len(workers(t, client)) == 2 }, "two workers")
	instance := func(pid int) string {
		for _, w := range workers(t, client) {
			if w.PID == pid {
				return w.Instance
			}
		}
		t.Fatalf("no worker of pid %d", pid)
		return ""
	}
	one, two := instance(first.cmd.Process.Pid), instance(second.cmd.Process.Pid)
	redistest.WaitFor(t, soon, func() bool {
		return strings.Contains(o.says("workers list"), "default,other  1/3") || strings.Contains(o.says("workers list"), "default,other      1/3")
	}, "a running job in the list")
	if text := o.says("doctor --queue default"); !strings.Contains(text, "jobs: 1 (list entries 0, scheduled 0, dead 0, finished 0, others run), sessions: 1\n") {
		t.Errorf("doctor does not say that a job runs:\n%s", text)
	}
	o.table([][3]any{
		{"workers quiet " + two, 0, two + " takes no more jobs\n"},
		{"workers quiet zzz", 1, `no worker "zzz"; there are `},
	})
	redistest.WaitFor(t, soon, func() bool { return strings.Contains(o.says("workers list --json"), `"state":"quiet"`) }, "it is quiet")
	o.table([][3]any{
		{"workers log-level " + two + " debug", 0, two + " logs from now on at level debug\n"},
		{"workers log-level " + one + " warn --json", 0, `{"instance":"` + one + `","order":"log-level","level":"warn"}` + "\n"},
	})
	redistest.WaitFor(t, soon, func() bool {
		list := o.says("workers list --json")
		return strings.Contains(list, `"log_level":"debug"`) && strings.Contains(list, `"log_level":"warn"`)
	}, "the levels in the list")
	enqueue(t, client, "noop", `{}`, queue.Queue("other"), queue.ID("left"), queue.Retain(time.Hour))
	o.says("workers resume " + two + " --json")
	second.says(&second.err, "worker takes jobs again")
	redistest.WaitFor(t, soon, func() bool { return counts(t, client, "other").Succeeded == 1 }, "it works again")
	redistest.WaitFor(t, soon, func() bool { // which only debug tells
		enqueue(t, client, "noop", `{}`, queue.Queue("other"))
		return strings.Contains(second.err.String(), "job done")
	}, "the second worker to tell more")
	o.table([][3]any{
		{"workers stop " + one + " --wait 15s", 0, one + " is told to stop\n"},
		{"workers stop --all --yes --wait 15s --json", 0, `{"instance":"` + two + `","order":"stop"}` + "\n"},
	})
	first.wantCode(75) // what it ran went back
	second.wantCode(0)
	if n := counts(t, client, queue.DefaultQueue); n.Ready != 1 {
		t.Errorf("%+v", n)
	}
}

func workers(t *testing.T, client *queue.Client) []queue.WorkerInfo {
	t.Helper()
	list, err := client.Workers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return list
}
