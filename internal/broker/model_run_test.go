package broker_test

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/redistest"
)

// sender is one worker process of the model: what it believes and what it was told.
type sender struct {
	session    string
	born       int
	registered bool
	seqs       map[string]uint64
	held       []broker.Claim
	told       int64 // the last claim token that a heartbeat told
}

// past is a call as it went over the wire, to be delivered again later, and what the model makes of it then.
type past struct {
	args  []any
	again func() string
}

// runner carries a plan out on miniredis and on the model, and compares.
type runner struct {
	t       *testing.T
	ctx     context.Context
	bubble  *redistest.Bubble
	rdb     *redis.Client
	b       *broker.Broker
	q       *keys.Queue
	w       *world
	workers [modelWorkers]*sender
	sent    [4]uint64 // calls of each producer's lane
	old     []broker.Claim
	expired []string
	past    []past
	sources map[string]bool // digests of scripts that the server has
	last    []any           // the last script call
	tokens  int64           // the last token seen
	bad     string
}

func newRunner(t *testing.T) *runner {
	b := redistest.NewBubble(t)
	b.M.ClockTTL(false) // no key here expires by itself
	space, _ := keys.NewSpace("m")
	q, err := space.Queue("q")
	if err != nil {
		t.Fatal(err)
	}
	r := &runner{t: t, ctx: t.Context(), bubble: b, rdb: b.Client(), q: q, w: newWorld(), sources: map[string]bool{}}
	r.b = broker.New(r.rdb, space)
	r.rdb.AddHook(r)
	for i := range r.workers {
		r.renew(i)
	}
	return r
}

// renew gives a worker a session that was never used.
func (r *runner) renew(i int) {
	born := 1
	if r.workers[i] != nil {
		born = r.workers[i].born + 1
		r.old = append(r.old, r.workers[i].held...)
	}
	r.workers[i] = &sender{session: fmt.Sprintf("w%d-%d", i, born), born: born, seqs: map[string]uint64{}}
}

func (r *runner) DialHook(next redis.DialHook) redis.DialHook { return next }

func (r *runner) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// ProcessHook notes script calls as they are sent.
func (r *runner) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		switch args := cmd.Args(); args[0] {
		case "EVAL":
			sum := sha1.Sum([]byte(args[1].(string)))
			r.sources[hex.EncodeToString(sum[:])] = true
			r.last = append([]any(nil), args...)
		case "EVALSHA":
			r.last = append([]any(nil), args...)
		}
		return next(ctx, cmd)
	}
}

// both makes a call for real and on the model and compares what they say. With lost set the reply is lost and the call
// made again. Again is what the model makes of the call when it is delivered once more, much later.
func (r *runner) both(lost bool, what string, real, model func() string) string {
	if lost {
		r.bubble.DropReplies(func(cmd string, args []string) bool {
			return cmd == "EVAL" || cmd == "EVALSHA" && r.sources[args[0]]
		})
		dropped := r.bubble.Dropped()
		got := real()
		if r.bubble.DropReplies(nil); r.bubble.Dropped() != dropped+1 {
			r.fail("%s: the reply was not lost: %s", what, got)
		}
		model()
	}
	got, want := real(), model()
	if got != want {
		r.fail("%s:\n answered %s\n expected %s", what, got, want)
	}
	if r.last != nil {
		r.past = append(r.past, past{args: r.last, again: model})
	}
	r.last = nil
	return got
}

func (r *runner) fail(format string, args ...any) {
	if r.bad == "" {
		r.bad = fmt.Sprintf(format, args...)
	}
}

// run carries out one plan and answers what went wrong.
func (r *runner) run(plan []step) string {
	for i, s := range plan {
		r.step(s)
		if r.bad == "" {
			r.judge()
		}
		if r.bad != "" {
			return fmt.Sprintf("step %d of %d, %+v: %s", i+1, len(plan), s, r.bad)
		}
	}
	r.drain()
	if r.bad != "" {
		return "drained after the plan: " + r.bad
	}
	return ""
}

func (r *runner) step(s step) {
	switch s.Do {
	case "enqueue":
		r.enqueue(s)
	case "exchange":
		r.exchange(s)
	case "rush":
		r.rush(s)
	case "fail":
		r.settle(s)
	case "beat", "bye":
		r.beat(s, s.pick(0, modelWorkers))
	case "beats":
		for i := range r.workers {
			r.beat(s, i)
		}
	case "crash":
		r.renew(s.pick(0, modelWorkers))
	case "recover":
		r.recover(s)
	case "lapse":
		r.lapse(s)
	case "advance":
		time.Sleep([]time.Duration{time.Millisecond, 300 * time.Millisecond, time.Second, 3100 * time.Millisecond,
			7 * time.Second, time.Minute, 11 * time.Minute}[s.pick(0, 7)])
	case "ghost":
		if len(r.past) > 0 {
			// Recent calls are the likelier ghosts.
			late := r.past[max(0, len(r.past)-1-s.pick(0, 40))]
			_ = r.rdb.Do(r.ctx, late.args...).Err() // nobody hears what a late call is answered
			late.again()
			r.last = nil
		}
	case "pop":
		r.pop(s)
	default:
		r.verb(s)
	}
}

func (r *runner) enqueue(s step) {
	lane := s.pick(1, len(r.sent))
	stamp := broker.Stamp{Producer: uuid.UUID{1: byte(lane/2 + 1)}, Lane: uint32(lane), Seq: r.sent[lane] + 1 + uint64(s.N[0]%7/6)}
	r.sent[lane] = stamp.Seq
	items := s.items(nowMS())
	r.both(s.Lost, "enqueue", func() string {
		out, err := r.b.Enqueue(r.ctx, r.q, stamp, items)
		letters := ""
		for _, o := range out {
			letters += string(rune(o))
		}
		return said(err, letters)
	}, func() string { return r.w.enqueue(stamp, items, nowMS()) })
}

// pop takes a token off the wake or due list, as a blocking pop does, and throws it away.
func (r *runner) pop(s step) {
	at, n := keys.Wake, &r.w.wakes
	if s.pick(0, 2) == 1 {
		at, n = keys.Due, &r.w.dues
	}
	if err := r.rdb.LPop(r.ctx, r.q.Key(at)).Err(); err == nil {
		*n--
	}
}
