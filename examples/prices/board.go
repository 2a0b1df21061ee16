package main

import (
	"context"
	"sync"
	"time"

	"github.com/tidemill/tidemill/pubsub"
)

// past is how many prices of a symbol the board remembers, for pages that are opened later.
const past = 150

// point is a price at a time, as the page gets it.
type point struct {
	Price
	Millis int64 `json:"at"` // Unix time
}

func pointOf(m *pubsub.Message[Price]) point {
	at := m.Time
	if at.IsZero() { // of a publisher who is none of ours
		at = time.Now()
	}
	return point{Price: m.Data, Millis: at.UnixMilli()}
}

// board remembers the last prices of all symbols. Safe for concurrent use.
type board struct {
	prices *pubsub.Subscription[Price]

	mu     sync.Mutex
	points map[string][]point
}

// newBoard subscribes to every symbol at once.
func newBoard(ctx context.Context, client *pubsub.Client) (*board, error) {
	all, err := pubsub.NewPattern[Price](client, everything)
	if err != nil {
		return nil, err
	}
	s, err := all.Subscribe(ctx)
	if err != nil {
		return nil, err
	}
	return &board{prices: s, points: make(map[string][]point)}, nil
}

// run notes prices until ctx ends. Those that a gap swallowed are missing from the drawing.
func (b *board) run(ctx context.Context) error {
	return b.prices.Handle(ctx, func(_ context.Context, m *pubsub.Message[Price]) error {
		b.mu.Lock()
		defer b.mu.Unlock()
		points := append(b.points[m.Data.Symbol], pointOf(m))
		if len(points) >= 2*past {
			points = append([]point(nil), points[len(points)-past:]...)
		}
		b.points[m.Data.Symbol] = points
		return nil
	})
}

// snapshot is what the board remembers.
func (b *board) snapshot() map[string][]point {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make(map[string][]point, len(b.points))
	for symbol, points := range b.points {
		out[symbol] = append([]point(nil), points[max(0, len(points)-past):]...)
	}
	return out
}
