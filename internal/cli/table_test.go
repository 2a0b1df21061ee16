package cli

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rivo/uniseg"
)

var update = flag.Bool("update", false, "write the golden files anew")

// jobColumns are like those of a listing of jobs.
var jobColumns = []Column{{Title: "ID"}, {Title: "KIND", Yield: 4, Least: 10, Good: 20}, {Title: "STATE", Whole: true, Yield: 1},
	{Title: "TRIES", Right: true, Whole: true, Yield: 6}, {Title: "WHEN", Whole: true, Yield: 5}, {Title: "DETAIL", Yield: 2, Least: 16, Good: 40}}

var jobRows = [][]string{
	{"0197c1f0-5a3e-7cc3-98c4-dc0c0c07398f", "image.resize", "dead", "25", "3h ago", "open a.png: no such file or directory; gave up after the last try"},
	{"0197c1f0-5a3e-7cc3-98c4-dc0c0c073990", "mail.newsletter.deliver", "running", "1", "4s ago", ""},
	{"0197c1f0-5a3e-7cc3-98c4-dc0c0c073991", "画像.変換", "scheduled", "2", "in 5m", "サーバーに接続できません。しばらくしてからもう一度お試しください"},
	{"0197c1f0-5a3e-7cc3-98c4-dc0c0c073992", "log\x1b[2J", "ready", "0", "in 5m", "👩‍👩‍👧‍👦 \x00\u202egnp.exe\ttab\xff"},
}

func TestTable(t *testing.T) {
	for _, c := range []struct {
		name  string
		width int
		out   string
	}{{"60", 60, "KIND TRIES WHEN"}, {"80", 80, "TRIES WHEN"}, {"120", 120, ""}, {"unlimited", 0, ""}} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			table := NewTable(&out, c.width, jobColumns...)
			for _, row := range jobRows {
				if err := table.Row(row...); err != nil {
					t.Fatal(err)
				}
			}
			if err := table.Flush(); err != nil {
				t.Fatal(err)
			}
			if out := strings.Join(table.LeftOut(), " "); out != c.out {
				t.Errorf("left out: %q, want %q", out, c.out)
			}
			file := filepath.Join("testdata", "table-"+c.name+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if out.String() != string(want) {
				t.Errorf("got:\n%swant:\n%s", out.String(), want)
			}
			for line := range strings.Lines(out.String()) {
				line = strings.TrimSuffix(line, "\n")
				if w := uniseg.StringWidth(line); c.width > 0 && w > c.width {
					t.Errorf("%d cells: %s", w, line)
				}
				if line != Clean(line) || line != strings.TrimRight(line, " ") {
					t.Errorf("not clean: %q", line)
				}
			}
		})
	}
}

// What a row is about stays where the terminal is too narrow for anything.
func TestTableStays(t *testing.T) {
	var out strings.Builder
	table := NewTable(&out, 20, Column{Title: "QUEUE", Yield: 1, Least: 12, Stays: true}, Column{Title: "READY", Right: true, Whole: true},
		Column{Title: "DEAD", Right: true, Whole: true}, Column{Title: "WORKERS", Right: true, Whole: true, Yield: 3})
	if err := errors.Join(table.Row("a-queue-with-a-name", "1", "0", "2"), table.Flush()); err != nil {
		t.Fatal(err)
	}
	if want := "QUEUE         READY  DEAD\na-queue-wit…      1     0\n"; out.String() != want {
		t.Errorf("got:\n%swant:\n%s", out.String(), want)
	}
}

// What comes after the first page takes the room there is, and no more.
func TestTableLaterRows(t *testing.T) {
	var out strings.Builder
	table := NewTable(&out, 40, Column{Title: "ID"}, Column{Title: "KIND", Yield: 1}, Column{Title: "N", Right: true, Whole: true}, Column{Title: "DETAIL", Yield: 2})
	for range firstPage {
		_ = table.Row("a", "short", "1", "fine")
	}
	if n := strings.Count(out.String(), "\n"); n != firstPage+1 {
		t.Fatalf("%d lines after a full page, want %d", n, firstPage+1)
	}
	out.Reset()
	_ = table.Row("b", "a longer kind", "2", "fine")
	_ = table.Row("c", strings.Repeat("k", 60), "3", strings.Repeat("d", 60))
	_ = table.Row("an id that is longer", "kind", "4", strings.Repeat("d", 60))
	want := "" +
		"b   a longer kind  2  fine\n" +
		"c   " + strings.Repeat("k", 24) + "…  3  ddddd…\n" +
		"an id that is longer  kind   4  ddddddd…\n"
	if out.String() != want {
		t.Errorf("got:\n%swant:\n%s", out.String(), want)
	}
}

// A row does not wait for others longer than a moment.
func TestTableStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &lines{}
		table := NewTable(r, 0, Column{Title: "A"}, Column{Title: "B"})
		_ = table.Row("1", "2")
		if r.n.Load() != 0 {
			t.Error("printed before the first page could fill")
		}
		time.Sleep(firstWait)
		synctest.Wait()
		if r.n.Load() != 2 {
			t.Errorf("%d lines after %v, want title and row", r.n.Load(), firstWait)
		}
		_ = table.Row("3", "4")
		if r.n.Load() != 3 {
			t.Error("a later row waits")
		}
		_ = table.Flush()
		if r.n.Load() != 3 {
			t.Error("printed twice")
		}
	})
}

type lines struct{ n atomic.Int64 }

func (l *lines) Write(p []byte) (int, error) {
	l.n.Add(int64(strings.Count(string(p), "\n")))
	return len(p), nil
}

func TestTableError(t *testing.T) {
	fault := errors.New("no space left")
	table := NewTable(failing{fault}, 0, Column{Title: "A"})
	for range 2 * firstPage {
		_ = table.Row("1")
	}
	if err := table.Row("1"); !errors.Is(err, fault) {
		t.Errorf("Row: %v", err)
	}
	if err := table.Flush(); !errors.Is(err, fault) {
		t.Errorf("Flush: %v", err)
	}
	if err := NewTable(failing{fault}, 0, Column{Title: "A"}).Flush(); err != nil {
		t.Errorf("an empty table was written: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestCut(t *testing.T) {
	for _, c := range []struct {
		text  string
		width int
		want  string
	}{
		{"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"abcd", 1, "…"}, {"abcd", 0, ""},
		{"画像変換", 8, "画像変換"}, {"画像変換", 7, "画像変…"}, {"画像変換", 6, "画像…"}, {"画像変換", 2, "…"},
		{"👩‍👩‍👧‍👦ab", 3, "👩‍👩‍👧‍👦…"}, {"👩‍👩‍👧‍👦ab", 2, "…"}, {"e\u0301e\u0301e\u0301", 2, "e\u0301…"},
	} {
		if got := Cut(c.text, c.width); got != c.want {
			t.Errorf("Cut(%q, %d) = %q, want %q", c.text, c.width, got, c.want)
		}
	}
}

func FuzzClean(f *testing.F) {
	for _, row := range jobRows {
		f.Add(row[1])
		f.Add(row[5])
	}
	f.Add("\u2028\u0085\U000e0001\ufeff\u200d")
	f.Fuzz(func(t *testing.T, text string) {
		clean := Clean(text)
		for _, r := range clean {
			if unsafeRune(r) {
				t.Errorf("%q holds %U", clean, r)
			}
		}
		if Clean(clean) != clean {
			t.Errorf("cleaned twice %q is another: %q", clean, Clean(clean))
		}
		for _, width := range []int{0, 1, 5} {
			if w := uniseg.StringWidth(Cut(clean, width)); w > width {
				t.Errorf("%q cut to %d is %d wide", clean, width, w)
			}
		}
	})
}

func TestClean(t *testing.T) {
	for text, want := range map[string]string{
		"größe 画像 ✓":        "größe 画像 ✓",
		"\x1b[31mred\x9b0m": `\x1b[31mred\x9b0m`,
		"a\r\n\tb\x00":      `a\r\n\tb\x00`,
		"\u202eexe":         `\u202eexe`,
		"\U000e0041":        `\U000e0041`,
		"\u0085":            `\x85`,
		"\xff\ufffd":        `\xff` + "\ufffd",
	} {
		if got := Clean(text); got != want {
			t.Errorf("Clean(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestAgo(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		d    time.Duration
		want string
	}{
		{0, "0s ago"}, {999 * time.Millisecond, "0s ago"}, {119 * time.Second, "119s ago"}, {2 * time.Minute, "2m ago"}, {2*time.Hour - 1, "119m ago"},
		{2 * time.Hour, "2h ago"}, {48*time.Hour - 1, "47h ago"}, {48 * time.Hour, "2d ago"}, {-90 * time.Second, "in 90s"}, {-72 * time.Hour, "in 3d"},
	} {
		if got := Ago(now.Add(-c.d), now); got != c.want {
			t.Errorf("%v: %q, want %q", c.d, got, c.want)
		}
	}
	if got := Ago(time.Time{}, now); got != "" {
		t.Errorf("no time: %q", got)
	}
}
