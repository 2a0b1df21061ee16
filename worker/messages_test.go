package worker

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/pubsub"
	"github.com/tidemill/tidemill/queue"
)

func (e *env) messages(kind string, options ...queue.Option) pubsub.Handler[pubsub.Raw] {
	e.Helper()
	h, err := EnqueueMessages(e.client, kind, options...)
	e.must(err)
	return h
}

// The same message is the same job, as long as that is known; what differs in id, kind, queue or place is another one.
func TestMessagesAreDeduped(t *testing.T) {
	inBubble(t, func(e *env) {
		id := uuid.New()
		long := strings.Repeat("t", 255)
		for _, c := range []struct {
			name string
			m    pubsub.Message[pubsub.Raw]
			kind string
			want int64 // jobs after it
		}{
			{"first", pubsub.Message[pubsub.Raw]{ID: id, Topic: "a"}, "job", 1},
			{"again", pubsub.Message[pubsub.Raw]{ID: id, Topic: "a"}, "job", 1},
			{"by another way", pubsub.Message[pubsub.Raw]{ID: id, Topic: "a", Position: "1-0", Attempt: 2}, "job", 1},
			{"another kind", pubsub.Message[pubsub.Raw]{ID: id, Topic: "a"}, "job2", 2},
			{"another message", pubsub.Message[pubsub.Raw]{ID: uuid.New(), Topic: "a"}, "job", 3},
			{"foreign of a stream", pubsub.Message[pubsub.Raw]{Topic: "a", Position: "1-0"}, "job", 4},
			{"again", pubsub.Message[pubsub.Raw]{Topic: "a", Position: "1-0"}, "job", 4},
			{"of another stream", pubsub.Message[pubsub.Raw]{Topic: "b", Position: "1-0"}, "job", 5},
			{"of one with a long name", pubsub.Message[pubsub.Raw]{Topic: long, Position: "1-0"}, "job", 6},
			{"again", pubsub.Message[pubsub.Raw]{Topic: long, Position: "1-0"}, "job", 6},
			{"foreign and live", pubsub.Message[pubsub.Raw]{Topic: "a"}, "job", 7},
			{"again, which nobody can tell", pubsub.Message[pubsub.Raw]{Topic: "a"}, "job", 8},
		} {
			c.m.Data = pubsub.Raw("{}")
			e.must(e.messages(c.kind)(e.ctx, &c.m))
			if n := e.counts().Ready; n != c.want {
				t.Fatalf("%s: %d jobs, want %d", c.name, n, c.want)
			}
		}
	})
}

// A message whose job is done makes no other one for a while.
func TestMessageIsRemembered(t *testing.T) {
	inBubble(t, func(e *env) {
		r := newRig(succeed)
		e.start(r.Mux, Config{})
		m := &pubsub.Message[pubsub.Raw]{ID: uuid.New(), Topic: "a", Data: pubsub.Raw("{}")}
		h, brief := e.messages("job"), e.messages("job", queue.Queue("other"), queue.Retain(0))
		e.must(h(e.ctx, m))
		e.must(brief(e.ctx, m))
		e.drained(time.Second)
		time.Sleep(MessageRetention - time.Minute)
		e.must(h(e.ctx, m))
		e.drained(time.Second)
		if r.n() != 1 {
			t.Errorf("%d starts", r.n())
		}
		time.Sleep(2 * time.Minute)
		e.must(h(e.ctx, m))
		e.drained(time.Second)
		if r.n() != 2 {
			t.Errorf("%d starts after its time", r.n())
		}
	})
}

// What can never become a job is dead at once; while Redis is away or full the handler waits, and ends with its context.
func TestMessagesThatFail(t *testing.T) {
	inBubble(t, func(e *env) {
		h := e.messages("job")
		large := &pubsub.Message[pubsub.Raw]{ID: uuid.New(), Topic: "a", Data: make(pubsub.Raw, queue.DefaultMaxPayload+1)}
		began := time.Now()
		if err := h(e.ctx, large); !errors.Is(err, queue.ErrPayloadTooLarge) || time.Since(began) > time.Second {
			t.Errorf("too large: %v after %v", err, time.Since(began))
		}
		tall := &pubsub.Message[pubsub.Raw]{ID: uuid.New(), Topic: "a", Data: pubsub.Raw("{}"), Meta: map[string]string{"k": strings.Repeat("x", 9<<10)}}
		if err := h(e.ctx, tall); !errors.Is(err, queue.ErrInvalid) {
			t.Errorf("too much metadata: %v", err)
		}
		m := &pubsub.Message[pubsub.Raw]{ID: uuid.New(), Topic: "a", Data: pubsub.Raw("{}")}
		e.b.M.SetError("OOM command not allowed when used memory > 'maxmemory'.")
		time.AfterFunc(30*time.Second, func() { e.b.M.SetError("") })
		began = time.Now()
		e.must(h(e.ctx, m))
		if took := time.Since(began); took < 30*time.Second || took > 40*time.Second {
			t.Errorf("it took %v", took)
		}
		if len(e.logs.find("a message could not be made a job; trying again")) == 0 {
			t.Error("the log does not tell")
		}
		e.b.M.SetError("OOM command not allowed when used memory > 'maxmemory'.")
		ctx, cancel := context.WithTimeout(e.ctx, 10*time.Second)
		defer cancel()
		m.ID = uuid.New()
		if err := h(ctx, m); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("at the end of its context: %v", err)
		}
		e.b.M.SetError("")
		if n := e.counts().Ready; n != 1 {
			t.Errorf("%d jobs", n)
		}
	})
}

func TestMessagesNeedAKind(t *testing.T) {
	inBubble(t, func(e *env) {
		if _, err := EnqueueMessages(e.client, "a b"); !errors.Is(err, queue.ErrInvalid) {
			t.Errorf("%v", err)
		}
	})
}

// The job says by which topic its message came, whatever the publisher's own words say.
func TestMessagesTellTheirTopic(t *testing.T) {
	inBubble(t, func(e *env) {
		m := &pubsub.Message[pubsub.Raw]{ID: uuid.New(), Topic: "a", Data: pubsub.Raw("{}"), Meta: map[string]string{MetaTopic: "b", "k": "v"}}
		e.must(e.messages("job")(e.ctx, m))
		job, err := e.client.Get(e.ctx, "default", m.ID.String()+"/job")
		e.must(err)
		if job.Meta[MetaTopic] != "a" || job.Meta["k"] != "v" {
			t.Errorf("%v", job.Meta)
		}
	})
}
