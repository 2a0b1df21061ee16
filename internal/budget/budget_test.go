// Package budget holds what the whole process may allocate for a message, by tests against a real server. Times vary by machine
// and load, allocations hardly do: when one of these fails, something on the path of every message has begun to allocate. Run
// without the race detector, under which pools forget what they are given.
package budget

import (
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/pubsub"
)

// rounds is how often each is measured: the least counts, as what the runtime and timers do beside it is no message's fault.
const rounds = 5

// race says that the race detector looks on.
var race bool

// note is about 200 bytes of JSON.
type note struct {
	ID     int64   `json:"id"`
	Symbol string  `json:"symbol"`
	Price  float64 `json:"price"`
	Source string  `json:"source"`
	Text   string  `json:"text"`
}

// notes are n of them, with strings that do not come again.
func notes(n int) []note {
	all := make([]note, n)
	for i := range all {
		all[i] = note{int64(i), fmt.Sprintf("TIDE.%d", i), float64(i) / 8, fmt.Sprintf("the source of prices %d", i),
			fmt.Sprintf("some words that make of it a message of about two hundred bytes, such as programs send: %d", i)}
	}
	return all
}

// held fails the test if do allocates more than most objects for each of n.
func held(t *testing.T, most float64, n int, do func()) {
	t.Helper()
	if race {
		t.Skip("the race detector makes pools forget: CI runs this without it")
	}
	do() // what is made once and kept
	least := 0.0
	var before, after runtime.MemStats
	for round := range rounds {
		runtime.ReadMemStats(&before)
		do()
		runtime.ReadMemStats(&after)
		if each := float64(after.Mallocs-before.Mallocs) / float64(n); round == 0 || each < least {
			least = each
		}
	}
	if t.Logf("%.2f allocations each, at most %v", least, most); least > most {
		t.Errorf("%.2f allocations each, at most %v", least, most)
	}
}

func topic[T any](t *testing.T) *pubsub.Topic[T] {
	t.Helper()
	c, err := pubsub.Open(t.Context(), redistest.Server(t).URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	to, err := pubsub.NewTopic[T](c, "notes")
	if err != nil {
		t.Fatal(err)
	}
	return to
}

func publishMany[T any](t *testing.T, to *pubsub.Topic[T], data []T) {
	if _, err := to.PublishMany(t.Context(), data); err != nil {
		t.Error(err)
	}
}

// Measured: 2.03, the note as an interface and go-redis's command.
func TestPublishMany(t *testing.T) {
	to, data := topic[note](t), notes(10_000)
	held(t, 2.3, len(data), func() { publishMany(t, to, data) })
}

// Measured: 18.50, most of them go-redis's for a pipeline.
func TestPublishOne(t *testing.T) {
	to, data := topic[note](t), notes(2_000)
	held(t, 20, len(data), func() {
		for _, d := range data {
			if _, err := to.Publish(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// Measured: 5.4. How many share a pipeline depends on the machine.
func TestPublishBesideOthers(t *testing.T) {
	const callers = 64
	to, data := topic[note](t), notes(100)
	held(t, 8, callers*len(data), func() {
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				for _, d := range data {
					if _, err := to.Publish(t.Context(), d); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
	})
}

// deliver publishes all data and waits until each of the subscriptions has handled all of it.
func deliver[T any](t *testing.T, most float64, data []T, subscriptions int) {
	t.Helper()
	to := topic[T](t)
	came := make(chan struct{})
	for range subscriptions {
		s, err := to.Subscribe(t.Context(), pubsub.Buffer(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		go func() {
			n := 0
			for _, err := range s.All(t.Context()) {
				if err != nil {
					t.Error(err)
				}
				if n++; n%len(data) == 0 {
					came <- struct{}{}
				}
			}
		}()
	}
	held(t, most, len(data)*subscriptions, func() {
		publishMany(t, to, data)
		for range subscriptions {
			<-came
		}
	})
}

// Measured, publishing included: 6.03, the two of PublishMany, the message and its three strings; 2.03 where nothing is encoded; and
// 0.06 for each of 100 subscriptions, which share the message.
func TestDeliver(t *testing.T) {
	t.Run("JSON", func(t *testing.T) { deliver(t, 6.6, notes(10_000), 1) })
	t.Run("Raw", func(t *testing.T) {
		data := make([]pubsub.Raw, 10_000)
		for i := range data {
			data[i] = make(pubsub.Raw, 200)
		}
		deliver(t, 2.4, data, 1)
	})
	t.Run("to 100", func(t *testing.T) { deliver(t, 0.1, notes(1_000), 100) })
}
