// Package floors holds the test that imports point down only.
package floors

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/tidemill/tidemill/"

// floor is how high a package stands: it may import what stands lower. Packages not listed belong to no floor and must
// be added here by decision.
var floors = map[string]int{
	"internal/wire": 0, "internal/keys": 0, "internal/backoff": 0, "internal/loop": 0, "internal/conn": 0,
	"internal/redisserver": 0, "internal/supervise": 0, "internal/nearest": 0, "internal/codec": 0, "internal/script": 0,
	"internal/broker": 1, "internal/bus": 1,
	"queue": 2, "pubsub": 2, "internal/doctor": 2,
	"worker":         3,
	"worker/metrics": 3, "pubsub/metrics": 3, "internal/monitor": 3,
	"internal/cli": 3, "internal/devserver": 3, "internal/workerfile": 3, "internal/execjob": 3, "internal/webhook": 3,
	"internal/bridge": 3,
	"cmd/worker":      4, "cmd/enqueue": 4, "examples/checksums": 4, "examples/quickstart": 4, "examples/webapp": 4,
	"examples/shell": 4, "examples/webhooks": 4, "examples/prices": 4, "examples/chat": 4, "examples/cache": 4,
}

// sameFloor are the imports within a floor that are meant.
var sameFloor = map[string][]string{
	"internal/loop": {"internal/backoff"}, "internal/conn": {"internal/loop", "internal/backoff"},
	"internal/supervise": {"internal/loop", "internal/backoff"},
	// What a worker's numbers are for Prometheus, and both over HTTP: worker itself knows nothing of them.
	"worker/metrics": {"worker"}, "internal/monitor": {"worker", "worker/metrics", "pubsub/metrics"},
	// What the worker binary adds to package worker: its file, and handlers that need no Go.
	"internal/workerfile": {"worker"}, "internal/execjob": {"worker"}, "internal/webhook": {"worker"},
	// Messages that become jobs, beside the worker.
	"internal/bridge": {"worker"},
}

// testOnly may be imported by test files only.
var testOnly = []string{"internal/redistest", "internal/brokertest", "internal/floors", "internal/blackbox", "internal/matrix",
	"internal/pitfalls", "internal/chaos", "internal/budget", "queue/queuetest", "worker/workertest", "pubsub/pubsubtest"}

// light packages must not drag in more than the libraries the project is fixed to.
var light = map[string]bool{"queue": true, "pubsub": true, "worker": true, "internal/broker": true, "internal/bus": true}

var allowedModules = []string{"github.com/redis/go-redis/", "github.com/google/uuid", "github.com/rs/zerolog", "golang.org/x/sync/",
	"github.com/cespare/xxhash", "go.uber.org/atomic", "golang.org/x/sys/", "github.com/mattn/", "golang.org/x/term",
	"github.com/go-json-experiment/json"}

type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
	Standard   bool
}

func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", "../../...")
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	var pkgs []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

func TestImportsPointDown(t *testing.T) {
	for _, p := range list(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		if slices.Contains(testOnly, name) {
			continue
		}
		own, known := floors[name]
		if !known {
			t.Errorf("%s stands on no floor: add it to the table, with a reason in the commit", name)
			continue
		}
		for _, imp := range p.Imports {
			below, ours := strings.CutPrefix(imp, module)
			if !ours {
				continue
			}
			switch floor, known := floors[below]; {
			case slices.Contains(testOnly, below):
				t.Errorf("%s imports %s, which is for tests only", name, below)
			case known && floor == own && !slices.Contains(sameFloor[name], below):
				t.Errorf("%s imports %s of its own floor", name, below)
			case known && floor > own:
				t.Errorf("%s imports %s, which stands higher", name, below)
			}
		}
	}
}

func TestQueueAndPubsubStandAlone(t *testing.T) {
	for _, p := range list(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		for _, imp := range p.Deps {
			dep := strings.TrimPrefix(imp, module)
			if (name == "queue" && (dep == "worker" || dep == "pubsub")) || (name == "pubsub" && (dep == "queue" || dep == "worker")) {
				t.Errorf("%s depends on %s", name, dep)
			}
		}
	}
}

func TestLibraryStaysLight(t *testing.T) {
	for _, p := range list(t) {
		if !light[strings.TrimPrefix(p.ImportPath, module)] {
			continue
		}
		for _, dep := range p.Deps {
			first, _, _ := strings.Cut(dep, "/")
			if !strings.Contains(first, ".") || strings.HasPrefix(dep, module) {
				continue // the standard library, or ours
			}
			if !slices.ContainsFunc(allowedModules, func(m string) bool { return strings.HasPrefix(dep+"/", m) || strings.HasPrefix(dep, m) }) {
				t.Errorf("%s drags in %s", p.ImportPath, dep)
			}
		}
	}
}
