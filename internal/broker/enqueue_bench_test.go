package broker

import (
	"bytes"
	"encoding"
	"fmt"
	"io"
	"strconv"
	"testing"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/wire"
)

// batch is n jobs of about 200 bytes of args, and their queue.
func batch(tb testing.TB, n int) (*keys.Queue, Stamp, []Item) {
	tb.Helper()
	space, err := keys.NewSpace("")
	if err != nil {
		tb.Fatal(err)
	}
	q, err := space.Queue("default")
	if err != nil {
		tb.Fatal(err)
	}
	items := make([]Item, n)
	for i := range items {
		e := wire.Envelope{Kind: "mail.send", Args: bytes.Repeat([]byte("x"), 200), CreatedAt: 1700000000000}
		items[i] = Item{ID: uuid.New(), Envelope: e.Append(nil)}
	}
	return q, Stamp{Producer: uuid.New(), Lane: 3, Seq: 1000}, items
}

// What a call allocates, whatever the number of its jobs: its parts and arguments; on the express connection nothing.
const (
	callAllocations    = 3
	expressAllocations = 0
)

func BenchmarkEnqueueCall(b *testing.B) {
	for _, n := range []int{1, 16, 256} {
		q, stamp, items := batch(b, n)
		b.Run(size(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				enqueueCall(q, stamp, items)
			}
		})
	}
}

func BenchmarkEnqueueExpress(b *testing.B) {
	for _, n := range []int{1, 16, 256} {
		q, stamp, items := batch(b, n)
		b.Run(size(n), func(b *testing.B) {
			var buf []byte
			b.ReportAllocs()
			for b.Loop() {
				buf = appendEnqueue(buf[:0], q, stamp, items)
				_, _ = io.Discard.Write(buf)
			}
		})
	}
}

func size(n int) string { return map[int]string{1: "1 job", 16: "16 jobs", 256: "256 jobs"}[n] }

func TestEnqueueCallAllocations(t *testing.T) {
	for _, n := range []int{1, 16, 256} {
		q, stamp, items := batch(t, n)
		if got := testing.AllocsPerRun(100, func() { enqueueCall(q, stamp, items) }); got > callAllocations {
			t.Errorf("a call of %s allocates %v times, allowed are %d", size(n), got, callAllocations)
		}
		var buf []byte
		if got := testing.AllocsPerRun(100, func() { buf = appendEnqueue(buf[:0], q, stamp, items) }); got > expressAllocations {
			t.Errorf("an express call of %s allocates %v times, allowed are %d", size(n), got, expressAllocations)
		}
	}
}

// Both forms of a call are the same command.
func TestExpressSaysTheSame(t *testing.T) {
	q, stamp, items := batch(t, 3)
	items[0].Envelope[2], items[1].Due.In, items[2].Due.At = 7, 60_000, 1_700_000_000_000
	for range 2 { // with delays, and without
		want := &bytes.Buffer{}
		writeCommand(t, want, enqueueCall(q, stamp, items).args)
		if got := appendEnqueue(nil, q, stamp, items); !bytes.Equal(got, want.Bytes()) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
		items[1].Due, items[2].Due = Due{}, Due{}
	}
}

// writeCommand writes a command as go-redis does.
func writeCommand(t *testing.T, dst *bytes.Buffer, args []any) {
	t.Helper()
	fmt.Fprintf(dst, "*%d\r\n", len(args))
	for _, arg := range args {
		var raw []byte
		switch arg := arg.(type) {
		case string:
			raw = []byte(arg)
		case int:
			raw = strconv.AppendInt(nil, int64(arg), 10)
		case *uint64:
			raw = strconv.AppendUint(nil, *arg, 10)
		case encoding.BinaryMarshaler:
			var err error
			if raw, err = arg.MarshalBinary(); err != nil {
				t.Fatal(err)
			}
		default:
			t.Fatalf("an argument is a %T", arg)
		}
		fmt.Fprintf(dst, "$%d\r\n%s\r\n", len(raw), raw)
	}
}
