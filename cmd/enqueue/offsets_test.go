package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
)

// A file that grows is taken up where it ended, also when its last line had no end then.
func TestFileGrows(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := openQueue(t, srv.URL())
	file, offsets := tempFile(t, "jobs.jsonl", ""), filepath.Join(t.TempDir(), "offset")
	args := []string{"--file", file, "--offset-file", offsets}
	grow := func(text string) {
		f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
		if err == nil {
			_, err = f.WriteString(text)
		}
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	in := 0
	for _, c := range []struct {
		text string
		n    int
	}{{"", 0}, {lines(1, 10), 10}, {"", 0}, {strings.TrimSuffix(lines(11, 2), "\n"), 2}, {"", 0}, {"\n", 0},
		{strings.TrimSuffix(lines(13, 1), "\n"), 1}, {"\r\n" + lines(14, 3), 3}, {strings.TrimSuffix(lines(17, 1), "\n"), 1}, {"\n" + lines(18, 1), 1}} {
		grow(c.text)
		r := call{url: srv.URL(), args: append(args, "-q")}.run(t)
		r.want(t, 0, "")
		if in += c.n; ready(t, client, "default") != in {
			t.Fatalf("after %q: %d jobs are ready, want %d", c.text, ready(t, client, "default"), in)
		}
	}
	if o := readOffsets(t, offsets); o.Line != 19 || o.Enqueued != 18 {
		t.Errorf("%+v", o)
	}
	grow(strings.TrimSuffix(lines(19, 1), "\n"))
	call{url: srv.URL(), args: append(args, "-q")}.run(t).want(t, 0, "")
	grow("garbage\n")
	call{url: srv.URL(), args: args}.run(t).want(t, 2, "enqueue: --offset-file "+offsets+": line 19 of "+file+" was sent before it was complete: it goes on; "+
		"mend it, or remove the offset file and go on with --from-line\n"+seeHelp)
}

func TestFromLineWithOffsetFile(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := openQueue(t, srv.URL())
	file, offsets := tempFile(t, "jobs.jsonl", lines(1, 10)), filepath.Join(t.TempDir(), "offset")
	args := []string{"--file", file, "--offset-file", offsets}
	call{url: srv.URL(), args: append(args, "--from-line", "8")}.run(t).want(t, 0, "enqueued 3, duplicates 0, rejected 0\n")
	call{url: srv.URL(), args: args}.run(t).want(t, 0, "enqueued 0, duplicates 0, rejected 0; in all enqueued 3, duplicates 0, rejected 0\n")
	if n := ready(t, client, "default"); n != 3 {
		t.Errorf("%d jobs are ready", n)
	}
	if o := readOffsets(t, offsets); o.Line != 11 || o.Offset != int64(len(lines(1, 10))) {
		t.Errorf("%+v", o)
	}
}

// The line that the first run was told to begin at holds for those that take it up: what is before it never goes in, neither
// when Redis lost lines and the file is read again, nor when the file was shorter than that and has grown.
func TestFromLineHoldsForAllRuns(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client, rdb := openQueue(t, srv.URL()), redistest.Client(t, srv)
	file, offsets := tempFile(t, "jobs.jsonl", lines(1, 10)), filepath.Join(t.TempDir(), "offset")
	args := []string{"--file", file, "--offset-file", offsets}
	write := func(n int) {
		if err := os.WriteFile(file, []byte(lines(1, n)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	call{url: srv.URL(), args: append(args, "--from-line", "21")}.run(t).want(t, 0, "enqueued 0, duplicates 0, rejected 0\n")
	write(15)
	call{url: srv.URL(), args: append(args, "--from-line", "21")}.run(t).want(t, 0, "enqueued 0, duplicates 0, rejected 0; in all enqueued 0, duplicates 0, rejected 0\n")
	write(30)
	call{url: srv.URL(), args: args}.run(t).want(t, 0, "enqueued 10, duplicates 0, rejected 0; in all enqueued 10, duplicates 0, rejected 0\n")
	dump := rdb.Dump(t.Context(), "tm:{default}:producers").Val()
	write(40)
	call{url: srv.URL(), args: args}.run(t).want(t, 0, "enqueued 10, duplicates 0, rejected 0; in all enqueued 20, duplicates 0, rejected 0\n")
	for _, key := range []string{"jobs", "ready:0"} {
		rdb.Del(t.Context(), "tm:{default}:"+key)
	}
	rdb.RestoreReplace(t.Context(), "tm:{default}:producers", 0, dump)
	call{url: srv.URL(), args: args}.run(t).want(t, 0, "redis has lost lines that it had taken: "+file+" is read again from line 21 on, and what is in is passed by\n"+
		"enqueued 10, duplicates 0, rejected 0, already in 10; in all enqueued 20, duplicates 0, rejected 0\n")
	if n := ready(t, client, "default"); n != 10 {
		t.Errorf("%d jobs are ready", n)
	}
}

// A file whose last line has no end yet, before the first line that is wanted, is taken up where that line begins at last.
func TestFromLineBehindAnOpenLine(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := openQueue(t, srv.URL())
	for queue, n := range map[string]int{"short": 21, "next": 11} {
		file, offsets := tempFile(t, queue+".jsonl", strings.TrimSuffix(lines(1, 10), "}\n")), filepath.Join(t.TempDir(), "offset")
		args := []string{"--queue", queue, "--file", file, "--offset-file", offsets, "--from-line", strconv.Itoa(n)}
		call{url: srv.URL(), args: args}.run(t).want(t, 0, "enqueued 0, duplicates 0, rejected 0\n")
		if err := os.WriteFile(file, []byte(strings.TrimSuffix(lines(1, 10), "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
		call{url: srv.URL(), args: args}.run(t).want(t, 0, "enqueued 0, duplicates 0, rejected 0; in all enqueued 0, duplicates 0, rejected 0\n")
		if err := os.WriteFile(file, []byte(lines(1, 30)), 0o600); err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("enqueued %d, duplicates 0, rejected 0; in all enqueued %[1]d, duplicates 0, rejected 0\n", 31-n)
		call{url: srv.URL(), args: args}.run(t).want(t, 0, want)
		if got := ready(t, client, queue); got != 31-n {
			t.Errorf("%s: %d jobs are ready", queue, got)
		}
	}
}

// Another enqueue at the same offset file is turned away; its lock ends with it, however it ends.
func TestOffsetFileInUse(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	proxy := redistest.NewProxy(t, srv.Addr())
	proxy.HoldRequest(redistest.On("EVALSHA"))
	file, offsets := tempFile(t, "jobs.jsonl", lines(1, 10)), filepath.Join(t.TempDir(), "offset")
	args := []string{"--file", file, "--offset-file", offsets}
	r := call{url: "redis://" + proxy.Addr(), args: args}.start(t)
	redistest.WaitFor(t, time.Minute, func() bool { return proxy.Held() == 1 }, "the call under way")
	call{url: srv.URL(), args: args}.run(t).want(t, 2, "enqueue: --offset-file "+offsets+": another enqueue uses it\n"+seeHelp)
	r.signal(syscall.SIGKILL)
	r.wait()
	call{url: srv.URL(), args: args}.run(t).want(t, 0, "enqueued 10, duplicates 0, rejected 0; in all enqueued 10, duplicates 0, rejected 0\n")
}

// An offset file that is not this stream's is refused, and so is a bad one; nothing is sent then.
func TestOffsetFileRefused(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	dir := t.TempDir()
	file, offsets := tempFile(t, "jobs.jsonl", lines(1, 500)), filepath.Join(dir, "offset")
	base := []string{"--file", file, "--offset-file", offsets}
	call{url: srv.URL(), args: base}.run(t).want(t, 0, "enqueued 500, duplicates 0, rejected 0\n")
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	other := write("other", "x"+lines(1, 500))
	short := write("short", lines(1, 499))
	middle := write("middle", strings.Replace(lines(1, 500), `{"n":499}`, `{"n":498}`, 1))
	text, _ := os.ReadFile(offsets)
	newer := write("newer", strings.Replace(string(text), `"tidemill_offset": 1`, `"tidemill_offset": 2`, 1))
	over := "; remove " + offsets + " to start over"
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"another file", []string{"--file", other, "--offset-file", offsets}, "--offset-file " + offsets + " is of another input than " + other + ": it begins differently" + over},
		{"a shorter one", []string{"--file", short, "--offset-file", offsets}, "--offset-file " + offsets + " is of another input than " + short +
			": it has " + strconv.Itoa(len(lines(1, 499))) + " bytes, and " + strconv.Itoa(len(lines(1, 500))) + " were sent" + over},
		{"a changed one", []string{"--file", middle, "--offset-file", offsets}, "--offset-file " + offsets + " is of another input than " + middle +
			": what was sent last reads differently" + over},
		{"another queue", append(base, "--queue", "x"), "--offset-file " + offsets + ` was begun with --queue "default", and is taken up with "x"` + over},
		{"another namespace", append(base, "--namespace", "x"), "--offset-file " + offsets + ` was begun with --namespace "tm", and is taken up with "x"` + over},
		{"other ids", append(base, "--ids", "content"), "--offset-file " + offsets + ` was begun with --ids "", and is taken up with "content"` + over},
		{"another line", append(base, "--from-line", "3"), "--offset-file " + offsets + " says that line 501 is next; leave --from-line out, or remove " + offsets + " to start over at line 3"},
		{"none", []string{"--file", file, "--offset-file", write("none", "{}")}, "--offset-file " + filepath.Join(dir, "none") + ": it is none"},
		{"a newer form", []string{"--file", file, "--offset-file", newer}, "--offset-file " + newer + ": it is of form 2, and this program reads 1"},
		{"no JSON", []string{"--file", file, "--offset-file", write("text", "x")}, "--offset-file " + filepath.Join(dir, "text") + ": invalid character 'x' looking for beginning of value"},
		{"the input", []string{"--file", file, "--offset-file", file}, "--offset-file " + file + " would overwrite the input"},
		{"the rejects", append(base, "--rejects", offsets), "--rejects and --offset-file name the same file"},
		{"no directory", []string{"--file", file, "--offset-file", filepath.Join(dir, "no", "x")}, "--offset-file " + filepath.Join(dir, "no", "x") +
			": open " + filepath.Join(dir, "no", "x.lock") + ": no such file or directory"},
		{"stdin", []string{"--file", "-", "--offset-file", offsets}, "--offset-file: stdin is no regular file, and cannot be read again from the middle"},
		{"a device", []string{"--file", "/dev/null", "--offset-file", offsets}, "--offset-file: /dev/null is no regular file, and cannot be read again from the middle"},
	} {
		t.Run(c.name, func(t *testing.T) {
			call{url: srv.URL(), args: c.args}.run(t).want(t, 2, "enqueue: "+c.want+"\n"+seeHelp)
		})
	}
	if n := ready(t, openQueue(t, srv.URL()), "default"); n != 500 {
		t.Errorf("%d jobs are ready", n)
	}
}

// With ids from their content, lines that are sent again are duplicates for as long as their jobs exist.
func TestIDsFromContent(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := openQueue(t, srv.URL())
	input := lines(1, 100) + " " + lines(1, 1) + `{"kind":"noop","id":"own"}` + "\n"
	run := func(args ...string) result {
		return call{url: srv.URL(), args: append(args, "--file", "-", "--ids", "content"), stdin: strings.NewReader(input)}.run(t)
	}
	run().want(t, 0, "enqueued 101, duplicates 1, rejected 0\n")
	run().want(t, 0, "enqueued 0, duplicates 102, rejected 0\n")
	run("--queue", "other").want(t, 0, "enqueued 101, duplicates 1, rejected 0\n")
	if s, err := client.Get(t.Context(), "default", "own"); err != nil || s.Key != "own" {
		t.Errorf("%+v, %v", s, err)
	}
}

// The offset file cannot be written: nothing more is sent, since nobody could tell.
func TestOffsetFileCannotBeWritten(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	proxy := redistest.NewProxy(t, srv.Addr())
	release := proxy.HoldRequest(redistest.On("EVALSHA"))
	dir := filepath.Join(t.TempDir(), "dir")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	r := call{url: "redis://" + proxy.Addr(), args: []string{"--file", tempFile(t, "jobs.jsonl", lines(1, 10)), "--offset-file", filepath.Join(dir, "offset")}}.start(t)
	redistest.WaitFor(t, time.Minute, func() bool { return proxy.Held() == 1 }, "the call that begins the run")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	release()
	got := r.wait()
	if got.code != 1 || !strings.Contains(got.stderr, "\nenqueue: writing the offset file: open "+dir) ||
		!strings.HasSuffix(got.stderr, ": no such file or directory; the same command goes on at line 1\n") {
		t.Errorf("exit code %d, %s", got.code, got.stderr)
	}
	if n := ready(t, openQueue(t, srv.URL()), "default"); n != 0 {
		t.Errorf("%d jobs are ready", n)
	}
}
