package codec

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"
)

// note is about 200 bytes of JSON.
type note struct {
	ID     int64   `json:"id"`
	Symbol string  `json:"symbol"`
	Price  float64 `json:"price"`
	Source string  `json:"source"`
	Text   string  `json:"text"`
}

// order is some 800 bytes, of more sorts.
type order struct {
	ID    string            `json:"id"`
	At    time.Time         `json:"at"`
	Lines []note            `json:"lines"`
	Tags  map[string]string `json:"tags"`
	Ref   *string           `json:"ref,omitempty"`
	Extra any               `json:"extra"`
}

// many is how many texts benchmarks take turns with: strings that come again may be met in a cache, and in life few do.
const many = 1 << 10

func someNote(i int) note {
	return note{int64(1_000_000 + i), fmt.Sprintf("TIDE.%d", i), float64(i) / 8, fmt.Sprintf("the source of prices %d", i),
		fmt.Sprintf("some words that make of it a message of about two hundred bytes, such as programs send: %d", i)}
}

func someOrder(i int) order {
	return order{fmt.Sprintf("order %d", i), time.Unix(int64(i), 0).UTC(), []note{someNote(i), someNote(i + many), someNote(i + 2*many)},
		map[string]string{"shop": fmt.Sprintf("shop %d", i), "lane": "fast"}, nil, []any{float64(i), "more"}}
}

func texts[T any](t testing.TB, one func(int) T) [][]byte {
	all := make([][]byte, many)
	for i := range all {
		b, err := json.Marshal(one(i))
		if err != nil {
			t.Fatal(err)
		}
		all[i] = b
	}
	return all
}

// std is encoding/json with no more around it.
type std struct{}

func (std) Marshal(v any) ([]byte, error)      { return json.Marshal(v) }
func (std) Unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }

type either interface {
	Marshal(v any) ([]byte, error)
	Unmarshal(data []byte, v any) error
}

func unmarshal[T any](b *testing.B, c either, one func(int) T) {
	all, i := texts(b, one), 0
	b.ReportAllocs()
	b.SetBytes(int64(len(all[0])))
	for b.Loop() {
		var v T
		if err := c.Unmarshal(all[i%many], &v); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

func BenchmarkUnmarshal(b *testing.B) {
	for name, c := range map[string]either{"codec": JSON{}, "encoding-json": std{}} {
		b.Run("note/"+name, func(b *testing.B) { unmarshal(b, c, someNote) })
		b.Run("order/"+name, func(b *testing.B) { unmarshal(b, c, someOrder) })
		b.Run("map/"+name, func(b *testing.B) {
			unmarshal(b, c, func(i int) map[string]any { return map[string]any{"id": i, "text": fmt.Sprint("text ", i), "on": true} })
		})
		b.Run("again/"+name, func(b *testing.B) { unmarshal(b, c, func(int) note { return someNote(1) }) }) // the same strings
	}
}

func BenchmarkMarshal(b *testing.B) {
	n := someNote(1)
	b.Run("Marshal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := (JSON{}).Marshal(n); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Append", func(b *testing.B) {
		b.ReportAllocs()
		var dst []byte
		for b.Loop() {
			var err error
			if dst, err = (JSON{}).Append(dst[:0], n); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// race says that the race detector looks on.
var race bool

// What reading and writing allocate is bounded: times vary by machine, this does not. Measured are 3 for a note (its strings), 26 for an
// order, 2 to write one (its bytes, and the note as an interface), 1 to append it (the latter). encoding/json reads with 7 and 34.
func TestAllocations(t *testing.T) {
	if race {
		t.Skip("the race detector makes pools forget: CI runs this without it")
	}
	notes, orders, n, i := texts(t, someNote), texts(t, someOrder), someNote(1), 0
	var dst []byte
	var one note
	var whole order
	for name, step := range map[string]struct {
		most float64
		do   func()
	}{
		"read a note":   {4, func() { one = note{}; _ = JSON{}.Unmarshal(notes[i%many], &one); i++ }},
		"read an order": {28, func() { whole = order{}; _ = JSON{}.Unmarshal(orders[i%many], &whole); i++ }},
		"write":         {2, func() { _, _ = JSON{}.Marshal(n) }},
		"append":        {1, func() { dst, _ = JSON{}.Append(dst[:0], n) }},
		"find the way":  {0, func() { wayOf(reflect.TypeOf(whole)) }},
	} {
		got := testing.AllocsPerRun(2000, step.do)
		if t.Logf("%s: %v", name, got); got > step.most {
			t.Errorf("%s: %v allocations, at most %v", name, got, step.most)
		}
	}
	if one.Text == "" || len(whole.Lines) != 3 || len(dst) == 0 {
		t.Error("nothing was read")
	}
}
