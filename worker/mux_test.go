package worker

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/queue"
)

// renamed has had two other names.
type renamed struct {
	N int `json:"n"`
}

func (renamed) Kind() string         { return "new" }
func (renamed) OlderKinds() []string { return []string{"old", "older"} }

// pretend is one attempt at a job of a kind through a mux, as a worker makes it.
func pretend(m *Mux, kind, encoding, payload string) (*queue.Job[queue.Raw], error) {
	job := queue.NewJob(queue.Info{Kind: kind, Encoding: encoding}, queue.Raw{Name: kind, Payload: []byte(payload)}, 7)
	r := m.sealed(nil)[kind]
	if r == nil {
		return job, errors.New("no route")
	}
	return job, r.handler(context.Background(), job)
}

func TestHandleServesOlderKinds(t *testing.T) {
	m := NewMux()
	var got []string
	Handle(m, func(_ context.Context, job *queue.Job[renamed]) error {
		got = append(got, fmt.Sprint(job.Kind, job.Args.N, job.Token()))
		return job.SetResult([]byte("r"))
	}, Retry(steady))
	for i, kind := range []string{"new", "old", "older"} {
		job, err := pretend(m, kind, "", fmt.Sprintf(`{"n": %d}`, i))
		if err != nil || string(job.Result()) != "r" {
			t.Errorf("%s: %v, result %q", kind, err, job.Result())
		}
		if r := m.sealed(nil)[kind]; r.retry == nil || *r.retry != steady {
			t.Errorf("%s has policy %v", kind, r.retry)
		}
	}
	if want := []string{"new0 7", "old1 7", "older2 7"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if kinds := m.Kinds(); !slices.Equal(kinds, []string{"new", "old", "older"}) {
		t.Errorf("kinds %q", kinds)
	}
}

func TestMuxPanics(t *testing.T) {
	for want, register := range map[string]func(m *Mux){
		`kind "new" has a handler already`:   func(m *Mux) { Handle(m, func(context.Context, *queue.Job[renamed]) error { return nil }) },
		`kind "older" has a handler already`: func(m *Mux) { m.HandleKind("older", succeed) },
		`invalid kind: ""`:                   func(m *Mux) { m.HandleKind("", succeed) },
		`invalid kind: "a b"`:                func(m *Mux) { m.HandleKind("a b", succeed) },
		`kind "x": backoff: base is -1ns`:    func(m *Mux) { m.HandleKind("x", succeed, Retry(Backoff{Base: -1})) },
	} {
		m := NewMux()
		Handle(m, func(context.Context, *queue.Job[renamed]) error { return nil })
		func() {
			defer func() {
				if p := fmt.Sprint(recover()); !strings.HasPrefix(p, "worker: "+want) {
					t.Errorf("panic %q, want %q", p, want)
				}
			}()
			register(m)
		}()
	}
}

// The first middleware is the outermost, wherever it was added.
func TestMiddlewareOrder(t *testing.T) {
	m := NewMux()
	var order []string
	wrap := func(name string) Middleware {
		return func(next Handler) Handler {
			return func(ctx context.Context, job *queue.Job[queue.Raw]) error {
				order = append(order, name+"(")
				defer func() { order = append(order, ")"+name) }()
				return next(ctx, job)
			}
		}
	}
	m.Use(wrap("a"), wrap("b"))
	m.HandleKind("k", func(context.Context, *queue.Job[queue.Raw]) error {
		order = append(order, "k")
		return nil
	})
	m.Use(wrap("c"))
	if _, err := pretend(m, "k", "", ""); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(order, " "); got != "a( b( c( k )c )b )a" {
		t.Errorf("order: %s", got)
	}
}

type xmlCodec struct{}

func (xmlCodec) Name() string                       { return "xml" }
func (xmlCodec) Marshal(args any) ([]byte, error)   { return xml.Marshal(args) }
func (xmlCodec) Unmarshal(b []byte, args any) error { return xml.Unmarshal(b, args) }

func TestCodecs(t *testing.T) {
	m := NewMux()
	var got int
	Handle(m, func(_ context.Context, job *queue.Job[renamed]) error {
		got = job.Args.N
		return nil
	})
	text := "<renamed><N>5</N></renamed>"
	var dead *queue.DeadError
	if _, err := pretend(m, "new", "xml", text); !errors.As(err, &dead) || !strings.Contains(err.Error(), `encoding "xml", which this worker has no codec for`) {
		t.Errorf("without the codec: %v", err)
	}
	m.sealed([]queue.Codec{xmlCodec{}})
	if _, err := pretend(m, "new", "xml", text); err != nil || got != 5 {
		t.Errorf("%v, %d", err, got)
	}
	if _, err := pretend(m, "new", "xml", "<"); !errors.As(err, &dead) || !strings.HasPrefix(err.Error(), `args of kind "new": `) {
		t.Errorf("malformed: %v", err)
	}
	if _, err := pretend(m, "new", "json", `{"n":6}`); err != nil || got != 6 {
		t.Errorf("%v, %d", err, got)
	}
}
