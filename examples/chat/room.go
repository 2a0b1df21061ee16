package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tidemill/tidemill/pubsub"
)

// remembered is about how many messages of a room are kept.
const remembered = 1000

// Said is what a room's durable topic carries.
type Said struct {
	From string `json:"from"`
	Text string `json:"text"`
}

// Sign is what its live topic carries.
type Sign struct {
	From string `json:"from"`
	What string `json:"what"` // here, left, or who: a question that all who are here answer
}

// room is a room that somebody is in.
type room struct {
	name  string
	me    string
	said  *pubsub.Durable[Said]
	signs *pubsub.Topic[Sign]
	heard *pubsub.Subscription[Sign]

	mu   sync.Mutex
	here map[string]bool
}

// enter enters a room. Whoever is there is told.
func enter(ctx context.Context, client *pubsub.Client, name, me string) (*room, error) {
	r := &room{name: name, me: me, here: map[string]bool{}}
	var err error
	if r.said, err = pubsub.NewDurable[Said](client, "chat."+name, pubsub.KeepCount(remembered)); err != nil {
		return nil, err
	}
	if r.signs, err = pubsub.NewTopic[Sign](client, "chat."+name+".signs"); err != nil {
		return nil, err
	}
	if r.heard, err = r.signs.Subscribe(ctx); err != nil {
		return nil, err
	}
	r.sign(ctx, "here")
	r.sign(ctx, "who")
	return r, nil
}

// leave tells the others, and stops listening.
func (r *room) leave(ctx context.Context) {
	r.sign(ctx, "left")
	r.heard.Close()
}

// say keeps a message for all who are here, and all who will be.
func (r *room) say(ctx context.Context, text string) error {
	_, err := r.said.Publish(ctx, Said{From: r.me, Text: text})
	return err
}

// sign tells those who are here now. That one of them may miss it is no harm.
func (r *room) sign(ctx context.Context, what string) {
	_, _ = r.signs.Publish(ctx, Sign{From: r.me, What: what})
}

// listen hands over what was said within the time that has passed, and then all that is said, until ctx ends. A broken
// connection is no end, and loses nothing: it goes on after the last message that it saw.
func (r *room) listen(ctx context.Context, past time.Duration, hear func(m *pubsub.Message[Said])) error {
	for m, err := range r.said.Follow(ctx, pubsub.FromTime(time.Now().Add(-past))) {
		var odd *pubsub.DecodeError
		var gone *pubsub.Gap
		switch {
		case errors.As(err, &odd): // somebody wrote what no chat understands
		case errors.As(err, &gone): // more was said than is remembered
		case err != nil:
			return err
		default:
			hear(m)
		}
	}
	return nil
}

// watch keeps the list of who is here, and tells who comes and goes, until ctx ends. After a gap all are asked anew.
func (r *room) watch(ctx context.Context, tell func(text string)) error {
	return r.heard.Handle(ctx, func(ctx context.Context, m *pubsub.Message[Sign]) error {
		r.mu.Lock()
		known := r.here[m.Data.From]
		switch m.Data.What {
		case "here":
			r.here[m.Data.From] = true
		case "left":
			delete(r.here, m.Data.From)
		}
		r.mu.Unlock()
		switch {
		case m.Data.What == "who":
			r.sign(ctx, "here")
		case m.Data.From == r.me: // knows
		case m.Data.What == "here" && !known:
			tell(m.Data.From + " is here")
		case m.Data.What == "left" && known:
			tell(m.Data.From + " has left")
		}
		return nil
	}, pubsub.OnGap(func(ctx context.Context, _ *pubsub.Gap) {
		r.mu.Lock()
		clear(r.here)
		r.mu.Unlock()
		r.sign(ctx, "who")
	}))
}

// who lists who is here.
func (r *room) who() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	names := make([]string, 0, len(r.here))
	for name := range r.here {
		names = append(names, name)
	}
	slices.Sort(names)
	return fmt.Sprintf("in %s: %s", r.name, strings.Join(names, ", "))
}
