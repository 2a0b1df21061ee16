package broker_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/internal/wire"
)

// BenchmarkExchange drains a queue of a real server by calls that acknowledge a batch and claim the next, as a busy worker
// makes them: the jobs of one batch run meanwhile. Beside the time and allocations of a call it tells Redis's CPU a job.
func BenchmarkExchange(b *testing.B) {
	for _, batch := range []int{1, 8, 100, 250} {
		b.Run(strconv.Itoa(batch), func(b *testing.B) { benchExchange(b, batch) })
	}
}

func benchExchange(b *testing.B, batch int) {
	ctx := b.Context()
	rdb := redistest.Client(b, redistest.Server(b))
	space, _ := keys.NewSpace("ns")
	q, _ := space.Queue("q")
	br := broker.New(rdb, space)
	if _, _, err := br.Heartbeat(ctx, time.Hour, []broker.Beat{{Queue: q, Session: "s", Mode: broker.Register}}); err != nil {
		b.Fatal(err)
	}
	var done, running []broker.Claim
	x := &broker.Exchange{Queue: q, Session: "s", Want: batch, Bytes: 1 << 20, First: batch, Widen: broker.Crowd}
	backlog, producer, filled, jobs := 0, uuid.New(), uint64(0), 0
	cpu, began := 0.0, 0.0
	b.ReportAllocs()
	for b.Loop() {
		if backlog < batch {
			b.StopTimer()
			if began > 0 {
				cpu += usedCPU(ctx, rdb) - began
			}
			for range 20 {
				filled++
				if _, err := br.Enqueue(ctx, q, broker.Stamp{Producer: producer, Seq: filled}, jobsOf(1000)); err != nil {
					b.Fatal(err)
				}
			}
			backlog, began = 20_000, usedCPU(ctx, rdb)
			b.StartTimer()
		}
		x.Seq++
		x.Done = done
		answers, errs := br.Exchange(ctx, []*broker.Exchange{x})
		if errs[0] != nil || len(answers[0].Jobs) != batch || len(answers[0].Refused) > 0 {
			b.Fatalf("%d jobs, refused %v, %v", len(answers[0].Jobs), answers[0].Refused, errs[0])
		}
		done, running = running, done[:0]
		for i := range answers[0].Jobs {
			running = append(running, answers[0].Jobs[i].Claim)
		}
		backlog -= batch
		jobs += batch
	}
	cpu += usedCPU(ctx, rdb) - began
	b.ReportMetric(cpu*1e6/float64(jobs), "redis-us/job")
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(jobs), "us/job")
}

// jobsOf makes new jobs of about 270 bytes.
func jobsOf(n int) []broker.Item {
	envelope := (&wire.Envelope{Kind: "mail.send", CreatedAt: 1_800_000_000_000, Args: make([]byte, 200)}).Append(nil)
	items := make([]broker.Item, n)
	for i := range items {
		items[i] = broker.Item{ID: uuid.Must(uuid.NewV7()), Envelope: envelope}
	}
	return items
}

// usedCPU is the CPU time of the server's main thread so far, in seconds.
func usedCPU(ctx context.Context, rdb *redis.Client) float64 {
	sum := 0.0
	for line := range strings.Lines(rdb.Info(ctx, "cpu").Val()) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "used_cpu_sys_main_thread" || name == "used_cpu_user_main_thread" {
			n, _ := strconv.ParseFloat(value, 64)
			sum += n
		}
	}
	return sum
}
