package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
)

type reject struct {
	Line       int
	Reason     string
	Text       *string
	TextBase64 []byte `json:"text_base64"`
}

func readRejects(t *testing.T, path string) []reject {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []reject
	scanner := bufio.NewScanner(f)
	scanner.Buffer(nil, 16<<20)
	for scanner.Scan() {
		var r reject
		if err := json.Unmarshal(scanner.Bytes(), &r); err != nil {
			t.Fatalf("%v in %q", err, scanner.Text())
		}
		out = append(out, r)
	}
	if err := scanner.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestReasonsForPeople(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	input := strings.Repeat("x\n", 13) + lines(1, 2) + `{"kind":"noop","id":"a"}` + "\n" + `{"kind":"noop","id":"a"}`
	run := func(stdin string, args ...string) result {
		return call{url: srv.URL(), args: append(args, "--file", "-"), stdin: strings.NewReader(stdin)}.run(t)
	}
	var want strings.Builder
	for i := range 10 {
		fmt.Fprintf(&want, "line %d: column 1: invalid character 'x' looking for beginning of value\n", i+1)
	}
	run(input).want(t, 1, want.String()+"... and 3 more\nenqueued 3, duplicates 1, rejected 13\n")
	r := run(input, "-q", "--json")
	r.want(t, 1, "")
	if !regexp.MustCompile(`^{"enqueued":2,"duplicates":2,"rejected":13,"seconds":[0-9.e-]+}\n$`).MatchString(r.stdout) {
		t.Errorf("stdout %s", r.stdout)
	}
	// Duplicates are not rejected, and an empty stream is a good one.
	run(`{"kind":"noop","id":"a"}`).want(t, 0, "enqueued 0, duplicates 1, rejected 0\n")
	run("").want(t, 0, "enqueued 0, duplicates 0, rejected 0\n")
	run("\n\n").want(t, 0, "enqueued 0, duplicates 0, rejected 0\n")
	r = run("x", "--rejects", "-")
	r.want(t, 1, "enqueued 0, duplicates 0, rejected 1\n")
	if want := `{"line":1,"reason":"column 1: invalid character 'x' looking for beginning of value","text":"x"}` + "\n"; r.stdout != want {
		t.Errorf("stdout %s", r.stdout)
	}
}

func TestFromLine(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := openQueue(t, srv.URL())
	file := tempFile(t, "jobs.jsonl", "x\n\n"+lines(3, 6)+"y\n")
	call{url: srv.URL(), args: []string{"--file", file, "--from-line", "5"}}.run(t).want(t, 1,
		"line 9: column 1: invalid character 'y' looking for beginning of value\nenqueued 4, duplicates 0, rejected 1\n")
	if n := ready(t, client, "default"); n != 4 {
		t.Errorf("%d jobs ready", n)
	}
	call{url: srv.URL(), args: []string{"--file", file, "--from-line", "100"}}.run(t).want(t, 0, "enqueued 0, duplicates 0, rejected 0\n")
}

// A producer that writes a line now and then sees it enqueued while the stream goes on.
func TestSlowStreamIsPrompt(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := openQueue(t, srv.URL())
	r := call{url: srv.URL(), args: []string{"--file", "-"}}.start(t)
	for i := range 3 {
		r.write(`{"kind":"noop"}` + "\n" + `{"kind":`) // the rest of the line comes later
		redistest.WaitFor(t, time.Minute, func() bool { return ready(t, client, "default") == 2*i+1 }, "the line that is complete")
		r.write(`"noop"}` + "\n")
		redistest.WaitFor(t, time.Minute, func() bool { return ready(t, client, "default") == 2*i+2 }, "the rest")
	}
	r.stdin.Close()
	r.wait().want(t, 0, "enqueued 6, duplicates 0, rejected 0\n")
}

const waiting = ": waiting for the lines that are under way; once more abandons them\n"

func TestInterrupt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		signal syscall.Signal
		code   int
		word   string
	}{{syscall.SIGINT, 130, "interrupted"}, {syscall.SIGTERM, 143, "terminated"}} {
		t.Run(c.word, func(t *testing.T) {
			t.Parallel()
			srv := redistest.Server(t)
			client := openQueue(t, srv.URL())
			r := call{url: srv.URL(), args: []string{"--file", "-"}}.start(t)
			r.write(lines(1, 700))
			redistest.WaitFor(t, time.Minute, func() bool { return ready(t, client, "default") == 700 }, "700 jobs")
			r.write(`{"kind":"not complete`)
			r.signal(c.signal)
			got := r.wait()
			// Redis has them a moment before the program knows.
			got.stderr = strings.TrimPrefix(got.stderr, c.word+waiting)
			got.want(t, c.code, "enqueued 700, duplicates 0, rejected 0\nenqueue: "+c.word+"; resume with --from-line 701\n")
		})
	}
}

// What is under way is waited for, and a second Ctrl-C abandons it.
func TestInterruptUnderWay(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	for _, abandon := range []bool{false, true} {
		t.Run(fmt.Sprintf("abandon=%v", abandon), func(t *testing.T) {
			t.Parallel()
			proxy := redistest.NewProxy(t, srv.Addr())
			release := proxy.HoldRequest(redistest.On("EVALSHA"))
			r := call{url: "redis://" + proxy.Addr(), args: []string{"--file", "-", "--queue", fmt.Sprint(abandon)}}.start(t)
			r.write("\n" + lines(2, 3))
			redistest.WaitFor(t, time.Minute, func() bool { return proxy.Held() == 1 }, "the call under way")
			r.signal(os.Interrupt)
			redistest.WaitFor(t, time.Minute, func() bool { return r.stderr.String() == "interrupted"+waiting }, "the message")
			if abandon {
				r.signal(os.Interrupt)
				r.wait().want(t, 130, "interrupted"+waiting+"enqueued 0, duplicates 0, rejected 0\nenqueue: interrupted with lines 1 to 4 under way, "+
					"which may be in or not; resume with --from-line 1 (lines with an \"id\" are not enqueued twice)\n")
				return
			}
			release()
			r.wait().want(t, 130, "interrupted"+waiting+"enqueued 3, duplicates 0, rejected 0\nenqueue: interrupted; resume with --from-line 5\n")
		})
	}
}

func TestInterruptSingle(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	proxy := redistest.NewProxy(t, srv.Addr())
	proxy.HoldRequest(redistest.On("EVALSHA"))
	r := call{url: "redis://" + proxy.Addr(), args: []string{"noop", "--id", "01a1fb3d-1057-7b2a-be2e-3fe03757574d"}}.start(t)
	redistest.WaitFor(t, time.Minute, func() bool { return proxy.Held() == 1 }, "the call under way")
	r.signal(os.Interrupt)
	r.wait().want(t, 130, "enqueue: the job may be enqueued or not: enqueue noop: outcome unknown: interrupted; "+
		"to be sure, repeat it with --id 01a1fb3d-1057-7b2a-be2e-3fe03757574d\n")
}
