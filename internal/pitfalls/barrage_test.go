package pitfalls

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/pubsub"
)

// shot is a message of the barrage: the N-th of a publisher.
type shot struct {
	P, N int
	End  bool `json:",omitempty"` // published after the faults
	Pad  string
}

// outcome is what became of a shot at its publisher.
type outcome uint8

const (
	taken   outcome = iota // Redis answered
	unknown                // it may have been published
	refused                // it surely was not
)

// fired is a shot as its publisher knows it.
type fired struct {
	at, answered time.Time
	outcome      outcome
}

// barrage is publishers at work, each in the order of its numbers.
type barrage struct {
	t       *testing.T
	topics  []*pubsub.Topic[shot] // of each publisher
	running sync.WaitGroup
	over    atomic.Bool   // the faults
	quit    chan struct{} // ends them
	shots   [][]fired     // of each publisher: its own until it has ended
}

// shoot starts a publisher for each topic: every 3 ms one message, or five in one call.
func shoot(t *testing.T, topics []*pubsub.Topic[shot]) *barrage {
	b := &barrage{t: t, topics: topics, quit: make(chan struct{}), shots: make([][]fired, len(topics))}
	for p := range topics {
		b.running.Go(func() { b.publish(p) })
	}
	t.Cleanup(b.cease)
	return b
}

func (b *barrage) publish(p int) {
	tick := time.NewTicker(3 * time.Millisecond)
	defer tick.Stop()
	for round := 0; ; round++ {
		select {
		case <-b.quit:
			return
		case <-tick.C:
		}
		shots := make([]shot, 1+4*(round%2))
		for i := range shots {
			shots[i] = shot{P: p, N: len(b.shots[p]) + i, End: b.over.Load(), Pad: "123456789012345678901234567890"}
		}
		b.fire(p, shots)
	}
}

func (b *barrage) fire(p int, shots []shot) {
	ctx, cancel := context.WithTimeout(context.Background(), slow)
	defer cancel()
	f := fired{at: time.Now()}
	var err error
	if len(shots) == 1 {
		_, err = b.topics[p].Publish(ctx, shots[0])
	} else {
		_, err = b.topics[p].PublishMany(ctx, shots)
	}
	f.answered = time.Now()
	switch {
	case err == nil:
	case len(shots) > 1 || errors.Is(err, pubsub.ErrOutcomeUnknown):
		f.outcome = unknown
	default:
		f.outcome = refused
	}
	for range shots {
		b.shots[p] = append(b.shots[p], f)
	}
}

// cease ends the publishers.
func (b *barrage) cease() {
	select {
	case <-b.quit:
	default:
		close(b.quit)
	}
	b.running.Wait()
}

// finish goes on without faults until all ears have heard of each of their publishers, and ends the publishers then.
func (b *barrage) finish(ears ...*ear) {
	b.t.Helper()
	b.over.Store(true)
	for _, e := range ears {
		redistest.WaitFor(b.t, slow, func() bool { return int(e.ends.Load()) == len(e.of) }, e.name+" to hear all publishers again")
	}
	b.cease()
	for _, e := range ears {
		e.sub.Close()
		<-e.done
	}
}

// heard is what an ear heard: a shot, or a gap.
type heard struct {
	shot shot
	gap  *pubsub.Gap
}

// ear listens to some publishers.
type ear struct {
	name string
	of   []int // the publishers that it hears
	sub  *pubsub.Subscription[shot]
	from time.Time // it has been subscribed since
	ends atomic.Int64
	done chan struct{} // then heard and err are to be read
	list []heard
	err  error
}

// listener is what an ear listens to.
type listener interface {
	Subscribe(ctx context.Context, options ...pubsub.SubscribeOption) (*pubsub.Subscription[shot], error)
}

// listen subscribes an ear that takes nap over each message.
func listen(t *testing.T, name string, of []int, to listener, nap time.Duration, options ...pubsub.SubscribeOption) *ear {
	t.Helper()
	sub, err := to.Subscribe(t.Context(), options...)
	if err != nil {
		t.Fatal(err)
	}
	e := &ear{name: name, of: of, sub: sub, from: time.Now(), done: make(chan struct{})}
	go e.hear(nap)
	t.Cleanup(sub.Close)
	return e
}

func (e *ear) hear(nap time.Duration) {
	defer close(e.done)
	ended := make(map[int]bool)
	for m, err := range e.sub.All(context.Background()) {
		var gap *pubsub.Gap
		switch {
		case errors.As(err, &gap):
			e.list = append(e.list, heard{gap: gap})
		case err != nil:
			e.err = err
		default:
			e.list = append(e.list, heard{shot: m.Data})
			if m.Data.End && !ended[m.Data.P] {
				ended[m.Data.P] = true
				e.ends.Add(1)
			}
			if nap > 0 {
				<-time.After(nap)
			}
		}
	}
}

// tally is what an ear's account comes to.
type tally struct {
	published, delivered, dropped, within int // within reported gaps, and not delivered
	gaps                                  int // of the connection
	gapTime, longest                      time.Duration
}

func (a tally) String() string {
	return fmt.Sprintf("%d published = %d delivered + %d missing (%d within %d gaps of %v in all, at most %v; %d dropped)", a.published,
		a.delivered, a.published-a.delivered, a.within, a.gaps, a.gapTime.Round(time.Millisecond), a.longest.Round(time.Millisecond), a.dropped)
}
