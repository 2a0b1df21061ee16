package supervise

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/internal/redistest"
)

// TestOthersStay ends one command while another runs that has left its group too: only the first one's processes go, and
// what tells nobody whose it is goes with the last command that was there.
func TestOthersStay(t *testing.T) {
	r := newRig(t, started(t, zerolog.Nop()))
	own, hidden, others := nap(t), nap(t), nap(t)
	other := r.shell("(setsid sleep "+others+" &); (setsid sleep "+others+" &); exec sleep "+others, nil, nil)
	redistest.WaitFor(t, time.Minute, func() bool { return len(sleeping(others)) == 3 }, "the other command")
	one := r.shell("(setsid sleep "+own+" &); (env -i setsid sleep "+hidden+" &); exec sleep "+own, nil, nil)
	redistest.WaitFor(t, time.Minute, func() bool { return len(sleeping(own)) == 2 && len(sleeping(hidden)) == 1 }, "the command")

	one.Kill()
	r.await(one)
	if a, b, c := len(sleeping(own)), len(sleeping(hidden)), len(sleeping(others)); a != 0 || b != 1 || c != 3 {
		t.Errorf("after the end of one: %d of its own, %d hidden, %d of the other", a, b, c)
	}
	later := r.shell("exec sleep "+own, nil, nil) // the hidden one was there before it
	redistest.WaitFor(t, time.Minute, func() bool { return len(sleeping(own)) == 1 }, "the later command")
	other.Kill()
	r.await(other)
	if n := len(sleeping(others)); n != 0 {
		t.Errorf("%d of the other are left", n)
	}
	redistest.WaitFor(t, time.Minute, func() bool { return len(sleeping(hidden)) == 0 }, "the end of the hidden one")
	if n := len(sleeping(own)); n != 1 {
		t.Errorf("%d of the later command, want 1", n)
	}
	later.Kill()
	r.await(later)
}

// TestGroupIsTold asks a command to end: its children get the TERM too, also a stopped one, and may clean up as long as
// their parent waits for them.
func TestGroupIsTold(t *testing.T) {
	r := newRig(t, started(t, zerolog.Nop()))
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	n := nap(t)
	_ = read.SetReadDeadline(time.Now().Add(20 * time.Second))
	p := r.shell(`trap : TERM
sh -c 'trap "echo told; exit" TERM; echo up; while :; do sleep 0.01; done' &
sh -c 'trap "echo told; exit" TERM; echo up; kill -STOP $$; while :; do sleep 0.01; done' `+n+` &
wait; wait; wait; exit 5`, nil, write)
	write.Close()
	said := bufio.NewScanner(read)
	for range 2 {
		if !said.Scan() || said.Text() != "up" {
			t.Fatalf("it said %q", said.Text())
		}
	}
	redistest.WaitFor(t, time.Minute, func() bool { return slices.ContainsFunc(with(n), stopped) }, "a stopped process")
	p.Terminate()
	for range 2 {
		if !said.Scan() || said.Text() != "told" {
			t.Fatalf("it said %q", said.Text())
		}
	}
	if e := r.await(p); e.Code != 5 || e.Err != nil {
		t.Errorf("%+v", e)
	}
}

func stopped(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && bytes.Contains(stat, []byte(") T "))
}

// sleeping lists the processes that are such a nap, and not the scripts that start one.
func sleeping(nap string) (found []int) {
	for _, pid := range with(nap) {
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if string(line) == "sleep\x00"+nap+"\x00" {
			found = append(found, pid)
		}
	}
	return found
}
