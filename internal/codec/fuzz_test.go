package codec

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

// everything holds a field of each sort that is read the fast way.
type everything struct {
	embedded
	Tree  tree              `json:"tree"`
	Small int8              `json:"small,omitempty"`
	Sizes map[uint16]uint64 `json:"sizes"`
	Ratio float64           `json:"ratio"`
	Half  float32
	At    time.Time `json:"at"`
	Bytes []byte    `json:"bytes"`
	Named []named
	Array [2]bool `json:"array"`
	Any   any     `json:"any"`
	P     **int
}

func FuzzUnmarshal(f *testing.F) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 2))
		f.Add(seed, []byte(randomText(r, reflect.TypeFor[everything](), 4)))
	}
	f.Fuzz(func(t *testing.T, seed uint64, text []byte) {
		same(t, text, reflect.TypeFor[everything]())
		r := rand.New(rand.NewPCG(seed, 1))
		same(t, text, randomType(r, r.IntN(4)))
	})
}
