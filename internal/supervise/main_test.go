package supervise

import (
	"context"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// mains are what this test binary can be beside a test, by the environment variable that says so and holds its argument.
var mains = map[string]func(string) error{}

func TestMain(m *testing.M) {
	if Main() {
		return
	}
	for name, main := range mains {
		if value := os.Getenv(name); value != "" {
			fmt.Println(main(value))
			os.Exit(1)
		}
	}
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0") // of supervisors under the race detector: else each takes a second to end
	os.Exit(m.Run())
}

// started is a Supervisor for a test.
func started(t testing.TB, log zerolog.Logger) *Supervisor {
	t.Helper()
	s, err := Start(context.Background(), log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// rig runs shell scripts.
type rig struct {
	testing.TB
	s    *Supervisor
	null *os.File
}

func newRig(t testing.TB, s *Supervisor) *rig {
	t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { null.Close() })
	return &rig{TB: t, s: s, null: null}
}

func (r *rig) shell(script string, in, out *os.File) *Process {
	r.Helper()
	if in == nil {
		in = r.null
	}
	if out == nil {
		out = r.null
	}
	p, err := r.s.Start(Command{
		Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: []string{"PATH=" + os.Getenv("PATH")}, Dir: "/",
		Stdin: in, Stdout: out, Stderr: r.null,
	})
	if err != nil {
		r.Fatal(err)
	}
	return p
}

// await is what became of a process.
func (r *rig) await(p *Process) Exit {
	r.Helper()
	select {
	case <-p.Done():
		return p.Exit()
	case <-time.After(time.Minute):
		r.Fatal("a command did not end within 20 s")
		return Exit{}
	}
}

// output runs a script and answers what it said, to the end of everything that may speak.
func (r *rig) output(script string) (string, Exit) {
	r.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		r.Fatal(err)
	}
	defer read.Close()
	_ = write.Fd() // as a blocking file
	p := r.shell(script, nil, write)
	write.Close()
	said, err := io.ReadAll(read)
	if err != nil {
		r.Fatal(err)
	}
	return string(said), r.await(p)
}

// up runs a script and waits until it has said a line.
func (r *rig) up(script string) *Process {
	r.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { read.Close() })
	_ = read.SetReadDeadline(time.Now().Add(20 * time.Second))
	p := r.shell(script, nil, write)
	write.Close()
	var said [1]byte
	if _, err := read.Read(said[:]); err != nil {
		r.Fatalf("the script said nothing: %v", err)
	}
	return p
}
