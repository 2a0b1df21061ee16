package budget

import (
	"strings"
	"testing"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// mail is a payload of about 200 bytes.
type mail struct {
	To   string `json:"to"`
	Body string `json:"body"`
}

func (mail) Kind() string { return "mail.send" }

var usual = mail{To: "someone@example.com", Body: strings.Repeat("x", 160)}

// Allocations of one job: a little more than was measured (11 alone, 4.3 in a batch).
const (
	aloneAllocations = 13
	batchAllocations = 5
	batch            = 1000
)

func client(tb testing.TB) *queue.Client {
	tb.Helper()
	c, err := queue.Open(tb.Context(), redistest.Server(tb).URL())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	enqueue(tb, c) // loads the script
	enqueue(tb, c)
	return c
}

func enqueue(tb testing.TB, c *queue.Client) {
	tb.Helper()
	if _, err := c.Enqueue(tb.Context(), usual); err != nil {
		tb.Fatal(err)
	}
}

func TestEnqueueAllocations(t *testing.T) {
	c := client(t)
	if n := testing.AllocsPerRun(500, func() { enqueue(t, c) }); n > aloneAllocations {
		t.Errorf("a job that is enqueued alone allocates %v times, allowed are %d", n, aloneAllocations)
	}
	jobs := make([]mail, batch)
	for i := range jobs {
		jobs[i] = usual
	}
	items := queue.Items(jobs)
	n := testing.AllocsPerRun(20, func() {
		if _, err := c.EnqueueMany(t.Context(), items); err != nil {
			t.Fatal(err)
		}
	})
	if n > batchAllocations*batch {
		t.Errorf("a job of a batch allocates %v times, allowed are %d", n/batch, batchAllocations)
	}
}

func BenchmarkEnqueue(b *testing.B) {
	c := client(b)
	b.Run("alone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			enqueue(b, c)
		}
	})
	b.Run("32 callers", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(16)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := c.Enqueue(b.Context(), usual); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

// BenchmarkEnqueueMany counts each job of batches of 1,000.
func BenchmarkEnqueueMany(b *testing.B) {
	c := client(b)
	jobs := make([]mail, batch)
	items := queue.Items(jobs)
	b.ReportAllocs()
	for n := b.N; n > 0; n -= batch {
		if _, err := c.EnqueueMany(b.Context(), items[:min(n, batch)]); err != nil {
			b.Fatal(err)
		}
	}
}
