package main_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// finding is what scripts read of a finding.
type finding struct {
	Level, Check, Queue, Repair string
	Count                       int64
	Examples                    []string
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	o := operate(t, srv.URL())
	client := open(t, srv.URL())
	id := uuid.New()
	enqueue(t, client, "noop", `{}`, queue.ID(id.String()))
	enqueue(t, client, "noop", `{}`, queue.Queue("other"))
	o.table([][3]any{
		{"doctor", 0, "Queue default\n  ok           structures: jobs: 1 (list entries 1, scheduled 0, dead 0, finished 0), sessions: 0\n"},
		{"doctor --queue defualt", 1, `no queue "defualt" has been used yet (did you mean default?)`},
		{"doctor default", 2, "a queue is named with --queue: worker doctor --queue default"},
		{"doctor --yes", 2, "--yes goes with --repair"},
		{"doctor --dry-run", 2, "--dry-run goes with --repair"},
		{"doctor --repair", 2, "stdin is no terminal"},
		{"doctor --repair --yes", 0, "There is nothing that a repair could mend."},
		{"doctor --redis redis://127.0.0.1:1", 69, "nothing answers at 127.0.0.1:1"},
	})
	if err := client.Redis().LRem(t.Context(), "tm:{default}:ready:0", 0, string(id[:])).Err(); err != nil {
		t.Fatal(err)
	}
	p := o.run("doctor")
	for _, want := range []string{"  problem      job-without-state: jobs in no state: 1\n               They never run", "                 " + id.String() + "\n",
		"               --repair puts them at the end of ready", "To mend what can be mended: worker doctor --repair\n"} {
		if p.code() != 1 || !strings.Contains(p.out.String(), want) {
			t.Errorf("exit code %d, no %q in:\n%s", p.code(), want, p.out.String())
		}
	}
	if p := o.run("doctor --repair --dry-run"); p.code() != 1 || !strings.Contains(p.out.String(), "The repair puts them at the end of ready") ||
		!strings.HasSuffix(p.out.String(), "A dry run: nothing was changed.\n") {
		t.Errorf("exit code %d:\n%s", p.code(), p.out.String())
	}
	if n := counts(t, client, "default"); n.Ready != 0 {
		t.Error("a dry run mended")
	}
	doctorJSON(t, o, id.String())
	if n := counts(t, client, "default"); n.Ready != 1 {
		t.Errorf("%d ready after the repair", n.Ready)
	}
	run(t, o.env, workerPath, "run", "--exit-when-empty").wantCode(0)
	if n := counts(t, client, "default"); n.Succeeded != 1 {
		t.Errorf("%d ran", n.Succeeded)
	}
}

// doctorJSON repairs, and holds the JSON against what is known.
func doctorJSON(t *testing.T, o *operator, id string) {
	t.Helper()
	var answer struct {
		Namespace, Result string
		Findings, Before  []finding
		Repairs           []struct {
			Check, Queue string
			Mended       int64
		}
	}
	if err := json.Unmarshal([]byte(o.says("doctor --repair --yes --json --queue default")), &answer); err != nil {
		t.Fatal(err)
	}
	if answer.Namespace != "tm" || answer.Result == "problem" || len(answer.Repairs) != 1 || answer.Repairs[0].Check != "job-without-state" ||
		answer.Repairs[0].Queue != "default" || answer.Repairs[0].Mended != 1 {
		t.Errorf("got %+v", answer)
	}
	told := false
	for _, f := range answer.Before {
		if f.Check == "job-without-state" {
			told = f.Level == "problem" && f.Queue == "default" && f.Count == 1 && len(f.Examples) == 1 && f.Examples[0] == id && f.Repair != ""
		}
	}
	for _, f := range answer.Findings {
		if f.Level == "problem" || f.Queue == "other" {
			t.Errorf("found after the repair: %+v", f)
		}
	}
	if !told {
		t.Errorf("what was found before is not told: %+v", answer.Before)
	}
}

// What other commands refuse to work with is what a doctor is asked about.
func TestDoctorOfAServerThatIsNotFit(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t, redistest.WithConfig("maxmemory 100mb", "maxmemory-policy allkeys-lru"))
	o := operate(t, srv.URL())
	if p := o.run("stats"); p.code() != 69 {
		t.Errorf("stats: exit code %d", p.code())
	}
	p := o.run("doctor")
	if p.code() != 1 || !strings.Contains(p.out.String(), "problem      eviction: maxmemory-policy is allkeys-lru\n               Jobs vanish") {
		t.Errorf("exit code %d:\n%s%s", p.code(), p.out.String(), p.err.String())
	}
}
