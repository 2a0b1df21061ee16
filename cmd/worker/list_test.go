package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// operator runs commands against one server.
type operator struct {
	t   *testing.T
	env []string
}

func operate(t *testing.T, url string) *operator {
	return &operator{t, []string{"REDIS_URL=" + url}}
}

// run splits a command at spaces.
func (o *operator) run(command string) *process {
	o.t.Helper()
	return run(o.t, o.env, workerPath, strings.Fields(command)...)
}

// says runs a command that must succeed and answers what it prints.
func (o *operator) says(command string) string {
	o.t.Helper()
	p := o.run(command)
	if p.code() != 0 {
		o.t.Fatalf("worker %s: exit code %d\n%s%s", command, p.code(), p.out.String(), p.err.String())
	}
	return p.out.String()
}

// table holds commands against their exit code and a part of what they print: on stdout, or on stderr where they fail.
func (o *operator) table(lines [][3]any) {
	o.t.Helper()
	for _, line := range lines {
		command, code, want := line[0].(string), line[1].(int), line[2].(string)
		p := o.run(command)
		text := p.out.String()
		if code != 0 {
			text = p.err.String()
		}
		if p.code() != code || !strings.Contains(text, want) {
			o.t.Errorf("worker %s: exit code %d, want %d with %q in:\n%s%s", command, p.code(), code, want, p.out.String(), p.err.String())
		}
	}
}

// zoo is a queue with jobs in every state but running and suspect.
func zoo(t *testing.T, url string) *queue.Client {
	t.Helper()
	client := open(t, url)
	for i := range 3 {
		enqueue(t, client, "fail", fmt.Sprintf(`{"error":"user %d: connection refused"}`, i), queue.ID(fmt.Sprintf("dead%d", i)), queue.MaxAttempts(1))
	}
	enqueue(t, client, "fail", `{"error":"no luck"}`, queue.ID("retry"), queue.MaxAttempts(2))
	enqueue(t, client, "noop", `{}`, queue.ID("done"), queue.Retain(time.Hour))
	enqueue(t, client, "noop", `{}`, queue.ID("stopped"), queue.Retain(time.Hour), queue.In(time.Hour))
	if _, err := client.Cancel(t.Context(), queue.DefaultQueue, "stopped"); err != nil {
		t.Fatal(err)
	}
	p := start(t, nil, workerPath, "run", "--redis", url)
	redistest.WaitFor(t, soon, func() bool {
		n := counts(t, client, queue.DefaultQueue)
		return n.Dead == 3 && n.Finished == 2 && n.Scheduled == 1
	}, "the zoo")
	p.signal(os.Interrupt)
	p.wantCode(0)
	if err := client.Redis().Del(t.Context(), "tm:workers").Err(); err != nil { // nobody listens any more
		t.Fatal(err)
	}
	enqueue(t, client, "mail.send", `{"to":"a@example.com"}`, queue.ID("mail1"), queue.Meta("tenant", "acme"))
	enqueue(t, client, "mail.news", `{"to":"b@example.com"}`, queue.ID("mail2"), queue.Meta("tenant", "acme"), queue.Priority(5))
	enqueue(t, client, "image.resize", `{"url":"a.png"}`, queue.ID("image"), queue.In(72*time.Hour+time.Minute))
	return client
}

// listed answers the keys or ids of the jobs in NDJSON.
func listed(t *testing.T, ndjson string) []string {
	t.Helper()
	ids := []string{}
	for line := range strings.Lines(ndjson) {
		var job struct{ ID, Key, Queue, Kind, State, Cursor string }
		if err := json.Unmarshal([]byte(line), &job); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if job.Queue == "" || job.Kind == "" || job.State == "" || job.Cursor == "" {
			t.Errorf("a field is missing: %s", line)
		}
		if job.Key == "" {
			job.Key = job.ID
		}
		ids = append(ids, job.Key)
	}
	return ids
}

func TestList(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	zoo(t, srv.URL())
	o := operate(t, srv.URL())
	for _, tt := range []struct{ args, want string }{
		{"", "retry image mail2 mail1 dead0 dead1 dead2 stopped done"},
		{"--state ready", "mail2 mail1"},
		{"--state READY,dead", "mail2 mail1 dead0 dead1 dead2"},
		{"--state dead --state ready", "mail2 mail1 dead0 dead1 dead2"},
		{"--state finished,succeeded", "stopped done"},
		{"--state ready,ready", "mail2 mail1"},
		{"--state suspect", ""},
		{"--state running", ""},
		{"--state finished", "stopped done"},
		{"--state succeeded", "done"},
		{"--state cancelled", "stopped"},
		{"--state expired", ""},
		{"--kind mail.send", "mail1"},
		{"--kind mail.*", "mail2 mail1"},
		{"--kind mail.send --kind image.*", "image mail1"},
		{"--kind mail.send,image.resize", ""},
		{"--kind mail.send --kind noop --state ready,succeeded", "mail1 done"},
		{"--error #:… --state dead", "dead0 dead1 dead2"},
		{"--kind *", "retry image mail2 mail1 dead0 dead1 dead2 stopped done"},
		{"--meta tenant=acme", "mail2 mail1"},
		{"--meta tenant=acme --kind mail.news", "mail2"},
		{"--meta tenant=acme --meta no=x", ""},
		{"--error REFUSED", "dead0 dead1 dead2"},
		{"--error luck", "retry"},
		{"--state scheduled --since +1d", "image"},
		{"--state scheduled --until +1d", "retry"},
		{"--state dead --since 1h", "dead0 dead1 dead2"},
		{"--state dead --until 1h", ""},
		{"--state dead --since 2020-01-31T08:00:00Z --until +1h", "dead0 dead1 dead2"},
		{"--state ready --limit 1", "mail2"},
		{"--state ready --limit 2", "mail2 mail1"},
	} {
		got := strings.Join(listed(t, o.says("jobs list default --json "+tt.args)), " ")
		// Jobs that died in the same ms are in the order of their ids.
		if sorted(got) != sorted(tt.want) || maskDead(got) != maskDead(tt.want) {
			t.Errorf("%s: got %s, want %s", tt.args, got, tt.want)
		}
	}
}

func maskDead(words string) string {
	return strings.NewReplacer("dead0", "dead", "dead1", "dead", "dead2", "dead").Replace(words)
}

func sorted(words string) string {
	list := strings.Fields(words)
	slices.Sort(list)
	return strings.Join(list, " ")
}

func TestListErrors(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	enqueue(t, open(t, srv.URL()), "noop", `{}`)
	operate(t, srv.URL()).table([][3]any{
		{"jobs list defualt", 1, `no queue "defualt" has been used yet (did you mean default?); there are default`},
		{"jobs show defualt x", 1, `did you mean default?`},
		{"jobs cancel defualt x", 1, `did you mean default?`},
		{"jobs errors other", 1, `no queue "other" has been used yet; there are default`},
		{"queues purge defualt --state dead --yes", 1, `did you mean default?`},
		{"queues delete defualt --yes", 1, `did you mean default?`},
		{"queues list defualt", 1, `did you mean default?`},
		{"jobs list", 2, "want QUEUE, got 0 arguments"},
		{"jobs list default --state ded", 2, `--state "ded": no such state (did you mean dead?); allowed: scheduled,`},
		{"jobs list default --state=", 2, "--state is given and empty"},
		{"jobs list default --kind=", 2, "--kind is given and empty"},
		{"jobs list default --kind a*b", 2, `--kind "a*b": a * may stand at the end only`},
		{"jobs list default --kind a --kind=", 2, "--kind is given and empty"},
		{"jobs list default --since soon", 2, `--since: "soon" is not a time: want a time back such as 2h`},
		{"jobs list default --since 5", 2, `--since: "5" is not a time`},
		{"jobs list default --since 1h --until 2h", 2, "--since 1h is not before --until 2h"},
		{"jobs list default --meta x", 2, `--meta "x": want name=value`},
		{"jobs list default --meta a=1 --meta a=2", 2, `no job has both`},
		{"jobs list default --limit -1", 2, "--limit -1: allowed: 0 (all) or more"},
		{"jobs list default --limit x", 2, "limit"},
		{"jobs list default --cursor x", 2, "--cursor is a place in one state"},
		{"jobs list default --state dead --cursor x", 2, "cursor"},
		{"jobs list default --json -q", 2, "give one of them"},
		{"jobs list default --group-by kind", 2, `--group-by "kind": allowed: error`},
		{"jobs list default --group-by error --state ready", 2, `--state "ready": allowed: dead`},
		{"jobs list default --group-by error -q", 2, "groups have no ids"},
		{"jobs list default --stat dead", 2, "did you mean --state?"},
		{"jobs lst", 2, "did you mean list?"},
	})
}

// A listing can be read page by page.
func TestListByPages(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := open(t, srv.URL())
	items := make([]queue.Item, 250)
	for i := range items {
		items[i] = queue.Item{Args: queue.Raw{Name: "noop", Payload: []byte("{}")}}
	}
	results, err := client.EnqueueMany(t.Context(), items)
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, r := range results {
		want = append(want, r.ID.String())
	}
	o, at := operate(t, srv.URL()), ""
	for {
		page := o.says("jobs list default --state ready --json --limit 99" + at)
		ids := listed(t, page)
		if got = append(got, ids...); len(ids) < 99 {
			break
		}
		var last struct{ Cursor string }
		lines := strings.Split(strings.TrimSpace(page), "\n")
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
			t.Fatal(err)
		}
		at = " --cursor " + last.Cursor
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d jobs by pages, want %d in the same order", len(got), len(want))
	}
	if ids := strings.Fields(o.says("jobs list default -q")); !slices.Equal(ids, want) {
		t.Errorf("-q printed %d ids", len(ids))
	}
}

// The first rows arrive while the listing goes on: Redis has not even heard of the next page.
func TestListStreams(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := open(t, srv.URL())
	const jobs = 1000
	if _, err := client.EnqueueMany(t.Context(), slices.Repeat([]queue.Item{{Args: queue.Raw{Name: "noop", Payload: []byte("{}")}}}, jobs)); err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{"--json", "-q", "--state=ready"} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			proxy := redistest.NewProxy(t, srv.Addr())
			pages := 0
			release := proxy.HoldRequest(func(_ string, args []string) bool {
				if slices.Contains(args, "READY") {
					pages++
				}
				return pages == 3
			})
			defer release()
			p := start(t, nil, workerPath, "jobs", "list", "default", form, "--state", "ready", "--redis", "redis://"+proxy.Addr())
			redistest.WaitFor(t, soon, func() bool { return proxy.Held() > 0 && strings.Count(p.out.String(), "\n") >= 100 }, "rows")
			if n := strings.Count(p.out.String(), "\n"); n > 201 || p.ended() {
				t.Errorf("%d lines, ended: %v; want a page or two of 100, and that it waits", n, p.ended())
			}
			release()
			p.wantCode(0)
			if n := strings.Count(strings.TrimPrefix(p.out.String(), "ID "), "\n"); n < jobs || n > jobs+1 {
				t.Errorf("%d lines in all", n)
			}
		})
	}
}
