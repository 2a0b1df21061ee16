package execjob

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/rs/zerolog"
)

// TestStderr: each line to the log with the job's fields, the end into the attempt's record.
func TestStderr(t *testing.T) {
	r := newRig(t)
	a := r.shell(`printf 'one\r\n\n  \ntwo \033[31mred\033[0m\tx\nbytes \377\nthree' >&2; exit 1`)
	err := a.run()
	if err == nil || err.Error() != "exit status 1: three" || a.output != "one\r\n\n  \ntwo \033[31mred\033[0m\tx\nbytes \uFFFD\nthree" {
		t.Errorf("%v, %q", err, a.output)
	}
	for _, want := range []string{"one", "two \uFFFD[31mred\uFFFD[0m\tx", "bytes \uFFFD", "three"} {
		got := r.log.with(want)
		if len(got) != 1 || got[0]["message"] != want || got[0]["job_id"] != a.info.ID.String() || got[0]["stream"] != "stderr" || got[0]["level"] != "info" {
			t.Errorf("%q: %v", want, got)
		}
	}
}

// TestFlood: a command that floods stderr ends as fast as it can; the log has a part and says so, the record has the end.
func TestFlood(t *testing.T) {
	r := newRig(t)
	a := r.shell(`yes 'a line of the flood' | head -n 500000 >&2; echo 'the end' >&2; exit 1`)
	r.within(30*time.Second, func() { _ = a.run() })
	if len(a.output) != maxTail || !strings.HasSuffix(a.output, "a line of the flood\nthe end\n") {
		t.Errorf("kept %d bytes, %q", len(a.output), a.output[max(0, len(a.output)-40):])
	}
	logged, dropped := len(r.log.with("a line of the flood"))+len(r.log.with("the end")), 0
	for _, line := range r.log.with("the command wrote more") {
		dropped += int(line["lines"].(float64))
	}
	if logged+dropped != 500_001 || logged < 500 {
		t.Errorf("%d lines are logged and %d counted, of 500001", logged, dropped)
	}
}

func TestLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log journal
		logger := zerolog.New(&log)
		l := newLines(&logger)
		write := func(text string) {
			if n, err := l.Write([]byte(text)); n != len(text) || err != nil {
				t.Fatalf("%d, %v", n, err)
			}
		}
		// A line that is too long, in pieces, is cut; the next one is not.
		for range 10 {
			write(strings.Repeat("x", 1000))
		}
		write("\nnext\n")
		if got := log.with("xxx"); len(got) != 1 || got[0]["message"] != strings.Repeat("x", maxLine)+"... (cut)" {
			t.Errorf("a long line: %d", len(got))
		}
		if l.last() != "next" || len(log.with("next")) != 1 {
			t.Errorf("the last line is %q", l.last())
		}
		// The budget runs out and comes back.
		for i := range 5000 {
			write(fmt.Sprintf("flood %d\n", i))
		}
		first := len(log.with("flood"))
		if len(log.with("the command wrote more")) != 0 {
			t.Error("told what was dropped before anything else could be")
		}
		time.Sleep(time.Second)
		for i := range 5000 {
			write(fmt.Sprintf("flood %d\n", i))
		}
		second := len(log.with("flood")) - first
		if first < burst/(perLine+20) || first > burst/perLine || second < perSec/(perLine+20) || second > perSec/perLine {
			t.Errorf("logged %d lines at once and %d after a second", first, second)
		}
		l.finish()
		write("too late\n")
		told := log.with("the command wrote more")
		if len(told) != 2 || told[0]["lines"] != float64(5000-first) || told[1]["lines"] != float64(5000-second) || told[0]["level"] != "warn" {
			t.Errorf("told %v", told)
		}
		if len(log.with("too late")) != 0 {
			t.Error("heard what came after the end")
		}
	})
}

// TestTail keeps whole characters, maxTail bytes at most, however they came.
func TestTail(t *testing.T) {
	nop := zerolog.Nop()
	for _, piece := range []int{1, 7, 1000, 4095, 4096, 4097, 50_000} {
		l := newLines(&nop)
		text := strings.Repeat("äöü\n", 10_000)
		for rest := text; rest != ""; {
			n := min(piece, len(rest))
			_, _ = l.Write([]byte(rest[:n]))
			rest = rest[n:]
		}
		tail := l.tail()
		if !strings.HasSuffix(text, tail) || len(tail) > maxTail || len(tail) < maxTail-utf8.UTFMax {
			t.Errorf("in pieces of %d: %d bytes", piece, len(tail))
		}
		if cap(l.end) > 1<<20 || cap(l.line) > 4*maxLine {
			t.Errorf("in pieces of %d: it holds %d and %d bytes", piece, cap(l.end), cap(l.line))
		}
	}
	l := newLines(&nop)
	_, _ = l.Write([]byte("\xff short"))
	if l.tail() != "\uFFFD short" {
		t.Errorf("%q", l.tail())
	}
	_, _ = l.Write([]byte("\n" + strings.Repeat("ä", 1000) + "\n"))
	if last := l.last(); last != strings.Repeat("ä", maxLast/2)+"..." {
		t.Errorf("%q", last)
	}
}
