package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/queue"
)

// fake answers each item with what outcome says of its id, which tests set to the line's number.
type fake struct {
	outcome func(n int) error
	calls   []int // items of each call
	next    int
}

func (f *fake) EnqueueMany(_ context.Context, _ []uint64, items []queue.Item, _ ...queue.Option) ([]queue.Result, error) {
	results := make([]queue.Result, len(items))
	for i := range results {
		f.next++
		results[i].Err = f.outcome(f.next)
	}
	f.calls = append(f.calls, len(items))
	return results, nil
}

// streamTo runs a stream against a fake, and answers what the program would print and its exit code.
func streamTo(t *testing.T, f *fake, in io.Reader, rejects io.Writer, change ...func(*sender)) (code int, said string) {
	t.Helper()
	c := &command{fromLine: 1}
	c.connection.AddFlags((&cobra.Command{}).Flags())
	cmd := &cobra.Command{}
	var stderr bytes.Buffer
	cmd.SetErr(&stderr)
	r := c.newRun(cmd, &input{name: "stdin"}, rejects)
	r.sender.client = f
	for _, fn := range change {
		fn(r.sender)
	}
	err := r.report(cmd, r.stream(t.Context(), t.Context(), in))
	return cli.Report(&stderr, "enqueue", err), stderr.String()
}

func TestLostInTheMiddleOfABatch(t *testing.T) {
	t.Setenv("REDIS_URL", "redis://:secret@127.0.0.1:1")
	f := &fake{outcome: func(n int) error {
		switch {
		case n == 2, n == 9:
			return queue.ErrDuplicate
		case n == 3:
			return queue.ErrRedisFull
		case n == 5, n == 6:
			return fmt.Errorf("%w: %w", queue.ErrOutcomeUnknown, io.EOF)
		case n == 10:
			return fmt.Errorf("not sent: %w", queue.ErrUnavailable)
		}
		return nil
	}}
	// Line 4 is bad and before the loss, line 8 bad and behind it.
	input := lines(1, 3) + "x\n" + lines(5, 3) + "y\n" + lines(9, 4)
	code, said := streamTo(t, f, strings.NewReader(input), nil)
	const want = "line 3: redis full\nline 4: column 1: invalid character 'x' looking for beginning of value\n" +
		"enqueued 4, duplicates 2, rejected 2\nenqueue: Redis is lost: outcome unknown: EOF; " +
		"6 lines are surely in, 3 of them behind line 6, 2 from line 6 on may be in or not; resume with --from-line 6 (lines with an \"id\" are not enqueued twice)\n"
	if code != 3 || said != want {
		t.Errorf("exit code %d\n%s\nwant\n%s", code, said, want)
	}
}

// A full Redis refused what may be in all the same: only an input may send it again, elsewhere the stream ends and says so.
func TestFullAndUnsure(t *testing.T) {
	t.Setenv("REDIS_URL", "redis://127.0.0.1:1")
	unsure := fmt.Errorf("%w: %w", queue.ErrOutcomeUnknown, queue.ErrRedisFull)
	const lost = "enqueued 2, duplicates 0, rejected 0\nenqueue: Redis is lost: outcome unknown: redis is full; " +
		"2 lines are surely in, 1 from line 3 on may be in or not; resume with --from-line 3 (lines with an \"id\" are not enqueued twice)\n"
	for name, c := range map[string]struct {
		waits, input bool
		code         int
		said         string
	}{
		"rejects":           {false, false, 3, lost},
		"waits":             {true, false, 3, lost},
		"an input":          {false, true, 3, lost},
		"an input, waiting": {true, true, 0, fullTold + "enqueued 3, duplicates 0, rejected 0\n"},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{outcome: func(n int) error {
				if n == 3 {
					return unsure
				}
				return nil
			}}
			code, said := streamTo(t, f, strings.NewReader(lines(1, 3)), nil, func(s *sender) {
				if s.waits = c.waits; c.input {
					s.places = func() map[string]uint64 { return nil }
				}
			})
			if code != c.code || said != c.said {
				t.Errorf("%s: exit code %d\n%s\nwant\n%s", name, code, said, c.said)
			}
		})
	}
}

// While Redis refuses, no more lines are tried than the limit leaves; bad lines and duplicates do not end the row, a
// line that is taken does.
func TestRefusedInARow(t *testing.T) {
	refused := func(n int) bool { return n > 500 && n <= 2000 || n > 2100 && n != 3000 }
	f := &fake{outcome: func(n int) error {
		if n == 3000 {
			return queue.ErrDuplicate
		}
		if refused(n) {
			return fmt.Errorf("%w: OOM", queue.ErrRedisFull)
		}
		return nil
	}}
	input := lines(1, 2500) + "x\n" + lines(2502, 50_000)
	var rejects bytes.Buffer
	code, said := streamTo(t, f, strings.NewReader(input), &rejects)
	const want = "enqueued 600, duplicates 1, rejected 11501\n" +
		"enqueue: redis full: 10000 lines in a row were refused; once that is mended, resume with --from-line 2101\n"
	if code != 1 || said != want {
		t.Errorf("exit code %d\n%s\nwant\n%s", code, said, want)
	}
	if n := strings.Count(rejects.String(), "\n"); n != 11_501 {
		t.Errorf("%d rejects", n)
	}
	if !slices.Equal(f.calls, []int{3999, 4000, 4000, 102}) {
		t.Errorf("calls of %v items", f.calls)
	}
}

func TestRedisRecovers(t *testing.T) {
	f := &fake{outcome: func(n int) error {
		if n > 1000 && n <= 10_999 {
			return queue.ErrRedisFull
		}
		return nil
	}}
	var rejects bytes.Buffer
	code, said := streamTo(t, f, strings.NewReader(lines(1, 30_000)), &rejects)
	if want := "enqueued 20001, duplicates 0, rejected 9999\n"; code != 1 || said != want {
		t.Errorf("exit code %d\n%s\nwant\n%s", code, said, want)
	}
}

func TestReadingFails(t *testing.T) {
	f := &fake{outcome: func(int) error { return nil }}
	in := io.MultiReader(strings.NewReader(lines(1, 5)+`{"kind":"no`), iotest.ErrReader(errors.New("the disk is gone")))
	code, said := streamTo(t, f, in, nil)
	const want = "enqueued 5, duplicates 0, rejected 0\nenqueue: reading stdin: the disk is gone; resume with --from-line 6\n"
	if code != 1 || said != want {
		t.Errorf("exit code %d\n%s\nwant\n%s", code, said, want)
	}
}

// noSpace is a full disk.
type noSpace struct{}

func (noSpace) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestRejectsCannotBeWritten(t *testing.T) {
	f := &fake{outcome: func(int) error { return nil }}
	// More rejects than are buffered.
	code, said := streamTo(t, f, strings.NewReader(lines(1, 5)+strings.Repeat("x\n", 1000)+lines(1006, 20_000)), noSpace{})
	if code != 1 || said != "enqueued 3000, duplicates 0, rejected 1000\nenqueue: writing rejects: no space left on device; those from line 6 on may be missing; resume with --from-line 4001\n" {
		t.Errorf("exit code %d\n%s", code, said)
	}
}
