package codec

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

var rounds = flag.Int("codec.rounds", 4000, "how many random types TestRandom tries")

// leaves are what random types are made of.
var leaves = []reflect.Type{
	reflect.TypeFor[bool](), reflect.TypeFor[int](), reflect.TypeFor[int8](), reflect.TypeFor[int64](), reflect.TypeFor[uint16](),
	reflect.TypeFor[uint64](), reflect.TypeFor[float32](), reflect.TypeFor[float64](), reflect.TypeFor[string](), reflect.TypeFor[string](),
	reflect.TypeFor[[]byte](), reflect.TypeFor[named](), reflect.TypeFor[[]named](), reflect.TypeFor[any](), reflect.TypeFor[time.Time](),
	reflect.TypeFor[time.Duration](), reflect.TypeFor[json.RawMessage](), reflect.TypeFor[uuid.UUID](), reflect.TypeFor[inner](), reflect.TypeFor[tree](),
	reflect.TypeFor[[3]byte](), reflect.TypeFor[uintptr](),
}

type named uint8

// tagNames and fieldNames meet each other when letters are folded: s with the long s, k with the sign of kelvin.
var (
	tagNames   = []string{"a", "A", "b", "k", "s", "as", "ks", "k_s", "k-s", "ks.1", "0"}
	fieldNames = []string{"A", "B", "K", "S", "As", "AS", "Ks", "KS", "K_s", "É"}
	keys       = append([]string{"é", "É", "\u017f", "\u212a", "a\u017f", "\u212as", "\xff", "\\u0061", "\\u212as", "", "none"}, append(tagNames, fieldNames...)...)
	options    = []string{"", "", "", ",omitempty", ",omitzero", ",string", ",inline"}
)

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

func randomType(r *rand.Rand, depth int) reflect.Type {
	if depth == 0 {
		return pick(r, leaves)
	}
	switch r.IntN(8) {
	case 0:
		return reflect.PointerTo(randomType(r, depth-1))
	case 1:
		return reflect.SliceOf(randomType(r, depth-1))
	case 2:
		return reflect.ArrayOf(r.IntN(3), randomType(r, depth-1))
	case 3:
		return reflect.MapOf(pick(r, []reflect.Type{reflect.TypeFor[string](), reflect.TypeFor[int8](), reflect.TypeFor[named]()}), randomType(r, depth-1))
	case 4:
		return pick(r, leaves)
	}
	var fields []reflect.StructField
	used := map[string]bool{}
	for range r.IntN(5) {
		f := reflect.StructField{Name: pick(r, fieldNames), Type: randomType(r, depth-1)}
		if used[f.Name] {
			continue
		}
		used[f.Name] = true
		if r.IntN(2) == 0 {
			f.Tag = reflect.StructTag(fmt.Sprintf("json:%q", pick(r, tagNames)+pick(r, options)))
		}
		fields = append(fields, f)
	}
	return reflect.StructOf(fields)
}

// words are values that some type may read, and some may not.
var words = []string{
	"null", "null", "true", "false", "0", "-0", "1", "-1", "12", "255", "256", "65536", "1.0", "1e2", "1E-2", "-0.0", "0.1", "1e39", "1e400", "-1e400", "01", "1.", "+1",
	"9007199254740993", "9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616", "1e-400", "3.4028236e38", "5e-324",
	`""`, `"x"`, `"null"`, `"1"`, `"-7"`, `" 1"`, `"1.5"`, `"true"`, `"\"q\""`, `"\"\\u0061\""`, `"AQI="`, `"AQI"`, `"A Q"`, `"AQ\r\nI="`, `"AQ\u003d="`, `"<&>"`,
	`"\ud800"`, `"\ud800\ud800"`, `"\ud83d\ude00"`, `"\udc00x"`, "\"\xff\"", "\"\xe2\x28\xa1\"", "\"\xed\xa0\x80\"", "\"\u2028\"", `"\u0000"`, "\"\x01\"", `"\x"`, `"\/\b"`, "\"\t\"",
	`"2026-01-02T03:04:05Z"`, `"2026-01-02T03:04:05.678901234+02:00"`, `"2026-01-02T3:04:05Z"`, `"2026-01-02T03:04:05,5Z"`, `"2026-01-02T03:04:05\u005a"`, `"2026-02-30T03:04:05Z"`,
	`"2026-01-02T03:04:05+24:00"`, `"2026-01-02t03:04:05z"`, `"0b2c6b0e-2f5b-4a2e-9a53-5b8c1f3c2d11"`, `"0b2c6b0e2f5b4a2e9a535b8c1f3c2d11"`, `"{0b2c6b0e-2f5b-4a2e-9a53-5b8c1f3c2d11}"`,
	"nul", "tru", "NaN", "{", "[", "]", "\x00", "\ufeff1",
}

func space(r *rand.Rand) string { return pick(r, []string{"", "", "", " ", "\n\t", "\r"}) }

// randomText is JSON, mostly such as the type reads, at times broken.
func randomText(r *rand.Rand, t reflect.Type, depth int) string {
	if depth == 0 || r.IntN(12) == 0 {
		return space(r) + pick(r, words) + space(r)
	}
	if t != nil && !trusted[t] {
		switch t.Kind() {
		case reflect.Pointer:
			return randomText(r, t.Elem(), depth)
		case reflect.Slice, reflect.Array:
			if t.Elem().Kind() != reflect.Uint8 || r.IntN(2) == 0 {
				return list(r, func() string { return randomText(r, t.Elem(), depth-1) })
			}
		case reflect.Map:
			return object(r, func() (string, string) {
				return pick(r, append([]string{"1", "-1", "01", "300", "+1", "1 ", "1e0"}, keys...)), randomText(r, t.Elem(), depth-1)
			})
		case reflect.Struct:
			return object(r, func() (string, string) { return member(r, t, depth) })
		}
	}
	switch r.IntN(6) {
	case 0:
		return list(r, func() string { return randomText(r, nil, depth-1) })
	case 1:
		return object(r, func() (string, string) { return pick(r, keys), randomText(r, nil, depth-1) })
	}
	return pick(r, words)
}

func member(r *rand.Rand, t reflect.Type, depth int) (string, string) {
	if t.NumField() == 0 || r.IntN(6) == 0 {
		return pick(r, keys), randomText(r, nil, depth-1)
	}
	f := t.Field(r.IntN(t.NumField()))
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	if name == "" {
		name = f.Name
	}
	switch r.IntN(5) {
	case 0:
		name = strings.ToLower(name)
	case 1:
		name = strings.ToUpper(name)
	}
	text := randomText(r, f.Type, depth-1)
	if strings.Contains(string(f.Tag), ",string") && r.IntN(3) > 0 {
		b, _ := json.Marshal(text)
		text = string(b)
	}
	return name, text
}

func list(r *rand.Rand, one func() string) string {
	var b strings.Builder
	for i := range r.IntN(4) {
		if i > 0 {
			b.WriteString(pick(r, []string{",", ",", ",", ",", ",", ",", ",", ",", ",", ",", ",", ",", ",", ",", ",,", ""}))
		}
		b.WriteString(one())
	}
	return "[" + b.String() + "]"
}

func object(r *rand.Rand, one func() (string, string)) string {
	var b strings.Builder
	for i := range r.IntN(5) {
		if i > 0 {
			b.WriteByte(',')
		}
		key, value := one()
		b.WriteString(space(r) + `"` + key + `"` + space(r) + ":" + space(r) + value)
	}
	return "{" + b.String() + "}"
}

// TestRandom reads random JSON into random types.
func TestRandom(t *testing.T) {
	var read, quick int
	for seed := range uint64(*rounds) {
		r := rand.New(rand.NewPCG(seed, 1))
		into := randomType(r, r.IntN(4))
		for range 8 {
			text := []byte(randomText(r, into, 4))
			if json.Valid(text) {
				if read++; wayOf(into) != slow {
					quick++
				}
			}
			if !same(t, text, into) {
				t.Fatalf("seed %d", seed)
			}
		}
	}
	if t.Logf("%d of %d valid texts were read the fast way", quick, read); quick < read/4 {
		t.Error("too few to prove anything")
	}
}
