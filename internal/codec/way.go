package codec

import (
	"encoding"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/google/uuid"
)

// way is how a type is read.
type way uint8

const (
	slow          way = iota + 1 // by encoding/json
	fast                         // by the other one first
	fastUnescaped                // so too, unless the input has escapes: it reads times in which characters are escaped, encoding/json does not
)

// maxFast is the largest type that is read the fast way, in bytes: looking whether larger ones are zero could take longer than
// to read them.
const maxFast = 8 << 10

var (
	ways sync.Map // reflect.Type -> way

	timeType = reflect.TypeFor[time.Time]()
	// trusted types have methods that both call with the same bytes, and that may be called again.
	trusted = map[reflect.Type]bool{
		timeType: true, reflect.TypeFor[json.RawMessage](): true, reflect.TypeFor[uuid.UUID](): true,
	}
	// methods are of types that read themselves. The last one encoding/json does not know.
	methods = []reflect.Type{
		reflect.TypeFor[json.Unmarshaler](), reflect.TypeFor[encoding.TextUnmarshaler](), reflect.TypeFor[jsonv2.UnmarshalerFrom](),
	}
)

// wayOf answers how a type is read.
func wayOf(t reflect.Type) way {
	if w, ok := ways.Load(t); ok {
		return w.(way)
	}
	w := slow
	if seen := make(map[reflect.Type]bool); t.Size() <= maxFast && !loose(t) && plain(t, seen) {
		w = fast
		if seen[timeType] {
			w = fastUnescaped
		}
	}
	ways.Store(t, w)
	return w
}

// maxLoose is how many types are looked at, one within the other: some contain themselves (type Tree map[string]Tree).
const maxLoose = 32

// loose tells whether a type is made of interfaces, maps and slices alone, which encoding/json reads as quickly, or is nested so
// deeply that nothing else can be told of it.
func loose(t reflect.Type) bool {
	for range maxLoose {
		switch t.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
			if trusted[t] {
				return false
			}
			t = t.Elem()
		default:
			return t.Kind() == reflect.Interface
		}
	}
	return true
}

// plain tells whether a type and all that it holds is read alike by both: what is not known to be is not.
func plain(t reflect.Type, seen map[reflect.Type]bool) bool {
	if seen[t] {
		return true // or the answer is no already
	}
	seen[t] = true
	if trusted[t] {
		return true
	}
	if t == reflect.TypeFor[json.Number]() || readsItself(t) {
		return false
	}
	switch t.Kind() {
	case reflect.Bool, reflect.String, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return true
	case reflect.Interface:
		return t.NumMethod() == 0
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return plain(t.Elem(), seen)
	case reflect.Map:
		return plainKey(t.Key()) && plain(t.Elem(), seen)
	case reflect.Struct:
		return plainFields(t, seen)
	}
	return false
}

// readsItself tells whether a type has a method that reads it. What a pointer points to is looked at by itself.
func readsItself(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		return false
	}
	at := reflect.PointerTo(t)
	return slices.ContainsFunc(methods, func(m reflect.Type) bool { return at.Implements(m) })
}

// plainKey tells whether a map's key is a string or an integer and nothing more.
func plainKey(t reflect.Type) bool {
	return (t.Kind() == reflect.String || reflect.Int <= t.Kind() && t.Kind() <= reflect.Uintptr) && t != reflect.TypeFor[json.Number]() && !readsItself(t)
}

func plainFields(t reflect.Type, seen map[reflect.Type]bool) bool {
	if t.Size() > maxFast {
		return false // one is made below
	}
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("json")
		if tag == "-" || !f.IsExported() && !f.Anonymous {
			continue
		}
		if !plainTag(tag) || f.Anonymous && !embeds(f, tag) || !plain(f.Type, seen) {
			return false
		}
	}
	// It knows rules for structs that encoding/json does not, and then refuses all objects: what is left of those shows here.
	return jsonv2.Unmarshal([]byte("{}"), reflect.New(t).Interface(), semantics) == nil
}

// embeds tells whether an embedded field is a struct, or a pointer to one that can be made, of which nothing odd is asked.
func embeds(f reflect.StructField, tag string) bool {
	t := f.Type
	if t.Kind() == reflect.Pointer && f.IsExported() {
		t = t.Elem()
	}
	return t.Kind() == reflect.Struct && !trusted[t] && tag == ""
}

// plainTag tells whether a field's tag means the same to both: a name of the usual characters, and options that both know.
func plainTag(tag string) bool {
	name, options, _ := strings.Cut(tag, ",")
	for _, c := range []byte(name) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.') {
			return false
		}
	}
	switch options {
	case "", "omitempty", "omitzero", "omitempty,omitzero", "omitzero,omitempty":
		return true
	}
	return false // "string" too, which each reads with quirks of its own
}
