package pubsub

import (
	"fmt"
	"testing"

	"github.com/tidemill/tidemill/internal/redistest"
)

// wordy is about 200 bytes of JSON.
type wordy struct {
	ID     int64   `json:"id"`
	Symbol string  `json:"symbol"`
	Price  float64 `json:"price"`
	Source string  `json:"source"`
	Text   string  `json:"text"`
}

func someWordy(i int) wordy {
	return wordy{int64(i), fmt.Sprintf("TIDE.%d", i), float64(i) / 8, fmt.Sprintf("the source of prices %d", i),
		fmt.Sprintf("some words that make of it a message of about two hundred bytes, such as programs send: %d", i)}
}

// benchTopic is one of a client that sends nothing here.
func benchTopic[T any](b *testing.B) *Topic[T] {
	c, err := Open(b.Context(), redistest.Server(b).URL())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Close() })
	t, err := NewTopic[T](c, "words")
	if err != nil {
		b.Fatal(err)
	}
	return t
}

// BenchmarkEncode is what Publish does of a message before it is sent.
func BenchmarkEncode(b *testing.B) {
	t, data := benchTopic[wordy](b), someWordy(1)
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if _, dst, err = t.encode(dst[:0], data, &publishOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReceive is what a process does with a message that was read: it hands it to the subscriptions, the first of which decodes
// it. (bus.BenchmarkRead is what comes before.)
func BenchmarkReceive(b *testing.B) {
	for _, many := range []int{1, 50} { // below where a relay hands out
		b.Run(fmt.Sprintf("JSON/subscriptions=%d", many), func(b *testing.B) { receive(b, many, someWordy) })
		b.Run(fmt.Sprintf("Raw/subscriptions=%d", many), func(b *testing.B) {
			receive(b, many, func(i int) Raw { return fmt.Appendf(nil, "%0200d", i) })
		})
	}
}

func receive[T any](b *testing.B, many int, one func(int) T) {
	t, payloads := benchTopic[T](b), make([][]byte, 1024)
	for i := range payloads {
		var err error
		if _, payloads[i], err = t.encode(nil, one(i), &publishOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	subs := make([]*Subscription[T], many)
	for i := range subs {
		s, err := t.Subscribe(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		defer s.Close()
		subs[i] = s
	}
	i := 0
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		subs[0].group.Message(t.name, payloads[i%len(payloads)])
		i++
		for _, s := range subs {
			if _, err := s.Next(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	}
}
