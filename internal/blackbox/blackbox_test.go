package blackbox

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
)

// binaries is the folder that holds worker and enqueue.
var binaries string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "tidemill-blackbox-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		build := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "../../cmd/worker", "../../cmd/enqueue")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%v: %v\n%s", build.Args, err, out)
			return 1
		}
		binaries = dir
		return m.Run()
	}())
}

// TestEachTopology runs every script of testdata/each on every topology.
func TestEachTopology(t *testing.T) {
	redistest.EachTopology(t, func(t *testing.T, topo *redistest.Topology) {
		scripts, err := filepath.Glob("testdata/each/*.txtar")
		if err != nil || len(scripts) == 0 {
			t.Fatalf("no scripts: %v", err)
		}
		for _, script := range scripts {
			run(t, script, "REDIS_URL="+topo.URL)
		}
	})
}

// TestFlags runs the script for what flags say beside the URL.
func TestFlags(t *testing.T) {
	s := redistest.NewSecure(t)
	stranger := redistest.NewCerts(t)
	run(t, "testdata/flags.txtar", "REDIS_URL=rediss://app@"+s.TLSAddr(t), "CA="+s.Certs.CA, "CERT="+s.Certs.Client,
		"KEY="+s.Certs.ClientKey, "OTHER_CA="+stranger.CA, "PLAIN="+s.Addr(), "ADDR="+s.TLSAddr(t))
}

// TestWrongURL runs the script for URLs that name the wrong thing.
func TestWrongURL(t *testing.T) {
	s := redistest.NewSentinel(t, 0, 1)
	acl := redistest.Server(t, redistest.WithConfig("user narrow on >pw ~other:* &* +@all", "user mute on >pw ~* &* +@all -ping"))
	run(t, "testdata/wrong.txtar", "SENTINEL="+s.Watchers[0].Addr(), "DATA="+s.Data[0].Addr(), "ACL="+acl.Addr())
}

// run runs a script in a namespace of its own: scripts run side by side.
func run(t *testing.T, script string, env ...string) {
	t.Helper()
	testscript.Run(t, testscript.Params{
		Files: []string{script},
		Setup: func(e *testscript.Env) error {
			e.Vars = append(e.Vars, env...)
			e.Setenv("TIDEMILL_NAMESPACE", "tm:"+strings.TrimSuffix(filepath.Base(script), ".txtar"))
			e.Setenv("PATH", binaries+string(filepath.ListSeparator)+e.Getenv("PATH"))
			e.Setenv("NO_COLOR", "1")
			port, err := redisserver.FreePort()                   // now: scripts wait for their turn, and whoever starts meanwhile takes ports too
			e.Setenv("LISTEN", fmt.Sprintf("127.0.0.1:%d", port)) // for what a script starts
			return err
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"wait-for": waitFor},
	})
}

// patience is how long a loaded machine gets for what takes a moment.
const patience = time.Minute

// waitFor runs a command again until its output matches: wait-for PATTERN COMMAND ARGS...
func waitFor(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: wait-for PATTERN COMMAND ARGS...")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var out bytes.Buffer
	for start := time.Now(); time.Since(start) < patience; <-tick.C {
		out.Reset()
		cmd := exec.Command(filepath.Join(binaries, args[1]), args[2:]...)
		cmd.Dir = ts.Getenv("WORK")
		for _, name := range []string{"REDIS_URL", "TIDEMILL_NAMESPACE", "NO_COLOR", "PATH", "HOME"} {
			cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
		}
		cmd.Stdout, cmd.Stderr = &out, &out
		if _ = cmd.Run(); pattern.Match(out.Bytes()) { // that it failed shows in what it says
			return
		}
	}
	ts.Fatalf("no match for %q in:\n%s", args[0], out.String())
}
