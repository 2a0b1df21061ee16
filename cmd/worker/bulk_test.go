package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

func TestBulk(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := zoo(t, srv.URL())
	o := operate(t, srv.URL())
	o.table([][3]any{
		{"jobs redrive default", 2, "give IDs, - for ids from stdin, or a filter such as --state dead"},
		{"jobs redrive", 2, "want QUEUE, and IDs or a filter"},
		{"jobs redrive default x --state dead", 2, "give IDs or filters, not both"},
		{"jobs redrive default x --limit 1", 2, "--limit goes with filters"},
		{"jobs redrive default dead0 --dry-run", 0, "dead0 would be made ready again\n"},
		{"jobs cancel default mail1 --dry-run --json", 0, `"id":"mail1","queue":"default","state":"ready","dry_run":true}`},
		{"jobs redrive default mail1 --dry-run", 1, `redrive mail1 in queue "default": the job's state does not allow it: it is ready`},
		{"jobs delete default done nothing --dry-run", 1, "unknown job: nothing"},
		{"jobs redrive default --error USER_#:_connection --dry-run", 0, "0 jobs would"},
		{"jobs redrive default --error #:… --dry-run", 0, "3 jobs would"},
		{"jobs redrive default x -", 2, "give - or IDs, not both"},
		{"jobs redrive default --state ready --yes", 2, `--state "ready": allowed: dead`},
		{"jobs cancel default --kind mail.*", 2, "--state is needed beside the other filters; allowed: running, suspect, ready, scheduled"},
		{"jobs cancel default --state dead --yes", 2, `--state "dead": allowed: running, suspect, ready, scheduled`},
		{"jobs delete default --state running --yes", 2, `--state "running": allowed: suspect, ready`},
		{"jobs delete default --state dead", 2, "stdin is no terminal, so nobody can be asked: give --yes, or --dry-run"},
		{"jobs redrive default --error REFUSED --dry-run", 0, "3 jobs would be made ready again\n"},
		{"jobs redrive default --error REFUSED --dry-run --json", 0,
			`{"queue":"default","verb":"redrive","dry_run":true,"looked":3,"matched":3,"done":0,"skipped":0}` + "\n"},
		{"jobs redrive default --state dead --limit 0 --yes", 2, "--limit 0: allowed: 1 or more"},
		{"jobs redrive default --state dead --limit 2 --dry-run", 0, "2 jobs (the limit) would be made ready again\n"},
		{"jobs redrive default --error user --since 1h --kind fail --yes", 0, "3 jobs made ready again\n"},
		{"jobs redrive default --state dead --yes --json", 0, `"looked":0,"matched":0,"done":0,"skipped":0}` + "\n"},
		{"jobs cancel default --state ready,scheduled --kind mail.* --yes --json", 0, `"matched":2,"done":2,"skipped":0}` + "\n"},
		{"jobs cancel default --state ready,scheduled --dry-run", 0, "5 jobs would be cancelled\n"},
		{"jobs delete default --state finished --yes", 0, "2 jobs deleted\n"},
		{"jobs delete default --state succeeded --yes", 0, "0 jobs deleted\n"},
		{"jobs delete default --state scheduled --until +1d --yes", 0, "1 job deleted\n"},
	})
	for command, want := range map[string]string{
		"jobs delete default --state finished --kind no --yes":     "no job matches; --kind 'no*' is for all that begin with it\n",
		"jobs delete default --state finished --kind no,x --yes":   "no job matches; several kinds are written --kind a --kind b\n",
		"jobs delete default --state finished --kind no* --yes":    "no job matches\n",
		"jobs delete default --state dead --yes --json":            "",
		"jobs cancel default --kind image.resize --state ready -y": "no job matches; --kind 'image.resize*' is for all that begin with it\n",
	} {
		if p := o.run(command); p.code() != 0 || p.err.String() != want {
			t.Errorf("%s says %q, want %q", command, p.err.String(), want)
		}
	}
	if n := counts(t, client, queue.DefaultQueue); n.Ready != 3 || n.Scheduled != 1 || n.Dead != 0 || n.Finished != 0 {
		t.Errorf("left: %+v", n)
	}
}

func TestVerbsOnManyIDs(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := open(t, srv.URL())
	for i := range 6 {
		enqueue(t, client, "noop", `{}`, queue.ID(fmt.Sprintf("job%d", i)))
	}
	o := operate(t, srv.URL())
	p := o.run("jobs cancel default job0 nothing job1")
	const gone = "cancelled jobs without --retain leave nothing behind\n"
	if p.wantCode(1); p.out.String() != "job0 is cancelled\njob1 is cancelled\n" || strings.Count(p.err.String(), gone) != 1 || !strings.Contains(p.err.String(), "worker: cancel: unknown job: nothing") {
		t.Errorf("stdout: %s\nstderr: %s", p.out.String(), p.err.String())
	}
	for _, tt := range []struct {
		args, stdin string
		code        int
		out, err    string
	}{
		{"jobs delete default - --dry-run", "job2\njob3\n", 0, "job2 would be deleted\njob3 would be deleted\n", ""},
		{"jobs delete default -", "job2\n\n  job3  \r\n", 0, "job2 is deleted\njob3 is deleted\n", ""},
		{"jobs delete default - --json", "job4", 0, `{"id":"job4","queue":"default","state":"deleted"}` + "\n", ""},
		{"jobs delete default -", "job4\njob5\n", 1, "job5 is deleted\n", "delete: unknown job: job4"},
		{"jobs delete default -", "", 0, "", ""},
		{"jobs delete default -", strings.Repeat("x", 1<<17), 1, "", "stdin: bufio.Scanner: token too long"},
	} {
		cmd := exec.Command(workerPath, strings.Fields(tt.args)...)
		var out, errs strings.Builder
		cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = environment(t, o.env...), strings.NewReader(tt.stdin), &out, &errs
		_ = cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != tt.code || out.String() != tt.out || !strings.Contains(errs.String(), tt.err) {
			t.Errorf("%s < %q: exit code %d\n%s%s", tt.args, tt.stdin, code, out.String(), errs.String())
		}
	}
}

// died is a queue of so many dead jobs.
func died(t *testing.T, url string, n int) *queue.Client {
	t.Helper()
	client := open(t, url)
	items := slices.Repeat([]queue.Item{{Args: queue.Raw{Name: "fail", Payload: []byte(`{}`)}, Options: []queue.Option{queue.MaxAttempts(1)}}}, n)
	if _, err := client.EnqueueMany(t.Context(), items); err != nil {
		t.Fatal(err)
	}
	run(t, []string{"LOG_LEVEL=error"}, workerPath, "run", "--redis", url, "--exit-when-empty", "--concurrency", "100").wantCode(0)
	if dead := counts(t, client, queue.DefaultQueue).Dead; dead != int64(n) {
		t.Fatalf("%d dead jobs, want %d", dead, n)
	}
	return client
}

// What an interrupted command prints does the rest: nothing is left undone and nothing is done twice. Once the call on its
// way gets through, and once its reply is lost; and once with a limit, which holds for both commands together.
func TestBulkResumes(t *testing.T) {
	t.Parallel()
	const jobs = 1000
	for _, tt := range []struct {
		lost  bool
		limit string
		want  int // jobs made ready again
	}{{want: jobs}, {lost: true, want: jobs}, {limit: "700", want: 700}} {
		t.Run(fmt.Sprintf("lost=%v,limit=%s", tt.lost, tt.limit), func(t *testing.T) {
			t.Parallel()
			srv := redistest.Server(t)
			client := died(t, srv.URL(), jobs)
			proxy := redistest.NewProxy(t, srv.Addr())
			calls := 0
			release := proxy.HoldRequest(func(cmd string, args []string) bool {
				if redrives(cmd, args) {
					calls++
				}
				return calls == 4
			})
			defer release()
			args := []string{"jobs", "redrive", "default", "--state", "dead", "--since", "1h", "--yes", "--json", "--redis", "redis://" + proxy.Addr()}
			if tt.limit != "" {
				args = append(args, "--limit", tt.limit)
			}
			p := start(t, nil, workerPath, args...)
			redistest.WaitFor(t, soon, func() bool { return proxy.Held() > 0 || p.ended() }, "the fourth call")
			p.signal(os.Interrupt)
			if tt.lost {
				proxy.Cut()
			}
			release()
			p.wantCode(130)
			var first, second struct {
				Done, Skipped int
				Cursor        string
			}
			if err := json.Unmarshal([]byte(p.out.String()), &first); err != nil || first.Cursor == "" || first.Done < 300 || first.Done >= jobs {
				t.Fatalf("%v: %s", err, p.out.String())
			}
			if err := json.Unmarshal(goOn(t, p.err.String()), &second); err != nil {
				t.Fatal(err)
			}
			n := counts(t, client, queue.DefaultQueue)
			if n.Ready != int64(tt.want) || n.Dead != int64(jobs-tt.want) {
				t.Errorf("%d ready, %d dead; want %d and %d", n.Ready, n.Dead, tt.want, jobs-tt.want)
			}
			if sum := first.Done + second.Done; sum > tt.want || sum < tt.want-100 {
				t.Errorf("%d and %d jobs made ready, want %d", first.Done, second.Done, tt.want)
			}
		})
	}
}

// goOn runs the command that an interrupted one printed, for a shell, and answers what it says.
func goOn(t *testing.T, said string) []byte {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(said), "\n")
	i := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, "  worker jobs redrive default ") })
	if i < 0 || !strings.Contains(lines[i], "--state dead --since 20") || !strings.Contains(lines[i], "--yes") {
		t.Fatalf("no command to go on with: %s", said)
	}
	again := exec.Command("sh", "-c", workerPath+strings.TrimPrefix(strings.TrimSpace(lines[i]), "worker"))
	again.Env = environment(t)
	out, err := again.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return out
}

// redrives tells a call of the script that redrives, which carries many ids after few other arguments.
func redrives(cmd string, args []string) bool {
	ids := 0
	for _, arg := range args {
		if len(arg) == 16 {
			ids++
		}
	}
	return cmd == "EVALSHA" && ids >= 100
}
