package supervise

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/internal/redistest"
)

// nap is a number of seconds that no other process sleeps for.
func nap(t testing.TB) string {
	t.Helper()
	n, err := rand.Int(rand.Reader, big.NewInt(1e9))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("3600.%09d", n)
}

// with lists the processes, zombies aside, whose command line holds a text.
func with(text string) (found []int) {
	for _, pid := range pids("/proc") {
		line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
		if err == nil && bytes.Contains(line, []byte(text)) && pid != os.Getpid() {
			found = append(found, pid)
		}
	}
	return found
}

// escapes are ways to leave something behind; each starts processes that sleep for NAP, and its first process goes on.
var escapes = map[string]string{
	"background":   `sleep NAP & sleep NAP &`,
	"nohup":        `nohup sleep NAP >/dev/null 2>&1 &`,
	"setsid":       `setsid sleep NAP &`,
	"double fork":  `(setsid sh -c 'sleep NAP & exec sleep NAP' &)`,
	"ignores TERM": `(trap '' TERM HUP INT; setsid sh -c "trap '' TERM; sleep NAP; sleep NAP" &)`,
	"no env":       `(env -i setsid /bin/sh -c 'sleep NAP & exec sleep NAP' &)`,
	"many":         `for i in 1 2 3 4 5 6 7 8 9; do (setsid sh -c 'sleep NAP & sleep NAP' &); setsid sleep NAP & sleep NAP & done`,
	"respawns":     `(setsid sh -c 'for i in 1 2 3 4 5 6 7 8; do sleep NAP; done' &)`,
	"stopped":      `setsid sh -c 'kill -STOP $$; sleep NAP' NAP &`,
}

// TestNothingIsLeft runs scripts that leave processes behind in every way, and end by themselves or are ended: nothing is
// left once that is told.
func TestNothingIsLeft(t *testing.T) {
	for name, script := range escapes {
		for _, ended := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/ended=%v", name, ended), func(t *testing.T) {
				t.Parallel()
				r := newRig(t, started(t, zerolog.Nop()))
				read, write, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				defer write.Close()
				n := nap(t)
				p := r.shell(strings.ReplaceAll(script, "NAP", n)+"\nread line; exit 7", read, nil)
				read.Close()
				// The script itself is one.
				redistest.WaitFor(t, time.Minute, func() bool { return len(with(n)) > 1 }, "the processes of the script")
				want := Exit{Code: 7}
				if ended {
					p.Terminate()
					want = Exit{Code: -1, Signal: syscall.SIGTERM}
				} else {
					write.Close()
				}
				e := r.await(p)
				if e.CPU = 0; e != want {
					t.Errorf("%+v, want %+v", e, want)
				}
				if left := with(n); len(left) > 0 {
					t.Errorf("%d processes are left", len(left))
				}
			})
		}
	}
}
