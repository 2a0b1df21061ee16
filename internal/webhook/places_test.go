package webhook

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestPlacesBound lets requests of two bounds crowd one place: each bound holds against all, and everyone gets in.
func TestPlacesBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &places{open: map[string]*counter{}}
		var busy, done, most atomic.Int64
		for i := range 200 {
			bound := 3 + i%2*4
			go func() {
				if err := p.enter(t.Context(), "a:1", bound); err != nil {
					t.Error(err)
					return
				}
				n := busy.Add(1)
				if n > int64(bound) {
					t.Errorf("%d at once, though the bound is %d", n, bound)
				}
				for was := most.Load(); n > was && !most.CompareAndSwap(was, n); was = most.Load() {
				}
				time.Sleep(time.Second)
				busy.Add(-1)
				p.leave("a:1")
				done.Add(1)
			}()
		}
		time.Sleep(time.Hour)
		if done.Load() != 200 || most.Load() != 7 {
			t.Errorf("%d done, %d at once; want 200, 7", done.Load(), most.Load())
		}
		if len(p.open) != 0 {
			t.Errorf("%d places are kept", len(p.open))
		}
	})
}

// TestPlacesGiveUp ends waiting by its context, also at the moment when a place becomes free.
func TestPlacesGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &places{open: map[string]*counter{}}
		why := errors.New("why")
		for range 100 {
			if err := p.enter(t.Context(), "a", 1); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			got := make(chan error)
			go func() { got <- p.enter(ctx, "a", 1) }()
			synctest.Wait()
			go cancel(why)
			p.leave("a")
			if err := <-got; err == nil {
				p.leave("a")
			} else if !errors.Is(err, why) {
				t.Fatal(err)
			}
			cancel(why)
			if err := p.enter(ctx, "a", 1); !errors.Is(err, why) {
				t.Fatalf("in by an ended context: %v", err)
			}
			if len(p.open) != 0 {
				t.Fatal("a place is kept")
			}
		}
	})
}

// TestPlacesApart: a full place does not hold up another.
func TestPlacesApart(t *testing.T) {
	p := &places{open: map[string]*counter{}}
	for _, name := range []string{"a", "b"} {
		if err := p.enter(t.Context(), name, 1); err != nil {
			t.Fatal(err)
		}
	}
}
