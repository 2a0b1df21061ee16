package codec

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Types that read themselves, in the ways that people write them.
type (
	shout          string                  // value receiver
	keeper         struct{ kept []byte }   // keeps the bytes it is given, a copy of them
	within         struct{ A, B int }      // calls json.Unmarshal
	level          int                     // text
	keyed          string                  // a text, as a map's key too
	number         struct{ N json.Number } // decodes into any with UseNumber
	next           struct{ A int }         // a method that encoding/json does not know
	refused        struct{ A int }         // refuses after it has changed itself
	generic[T any] struct{ V T }           // plain, or not
	loud[T any]    struct{ Value T }       // a generic one with a method
)

func (shout) UnmarshalJSON(b []byte) error { return nil }
func (k *keeper) UnmarshalJSON(b []byte) error {
	k.kept = append(k.kept, b...)
	return nil
}
func (w *within) UnmarshalJSON(b []byte) error {
	type plain within
	return json.Unmarshal(b, (*plain)(w))
}
func (l *level) UnmarshalText(b []byte) (err error) {
	var n int
	n, err = strconv.Atoi(strings.TrimPrefix(string(b), "level "))
	*l += level(n)
	return err
}
func (k *keyed) UnmarshalText(b []byte) error {
	*k = keyed("key " + string(b))
	return nil
}
func (n *number) UnmarshalJSON(b []byte) error {
	var v any
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return err
	}
	got, ok := v.(json.Number)
	if !ok {
		return fmt.Errorf("%T", v)
	}
	n.N = got
	return nil
}
func (n *next) UnmarshalJSONFrom(*jsontext.Decoder) error { return errors.New("not to be called") }
func (r *refused) UnmarshalJSON(b []byte) error {
	r.A += len(b)
	return errors.New("refused")
}
func (l *loud[T]) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &l.Value) }

type (
	base     struct{ A, B int }
	Base     struct{ A, C int }
	other    struct{ A, D int }
	Names    map[string]int
	Level    int
	embedded struct {
		base
		*Base
		E int
	}
	hidden struct{ *base }
	clash  struct {
		base
		other
	}
	hides struct {
		base
		A string
	}
	twice struct {
		embedded
		base
	}
	tagged struct {
		Base `json:"base"`
	}
	maps   struct{ Names }
	levels struct {
		Level
		A int
	}
	lifted  struct{ within }
	Timed   struct{ time.Time }
	iface   struct{ fmt.Stringer }
	unknown struct {
		A int            `json:"a,inline"`
		B int            `json:",embed"`
		C map[string]int `json:",embed"`
	}
	formats struct {
		A time.Time     `json:"a,format:unix"`
		B time.Duration `json:"b,format:sec"`
		C int           `json:"c_c,case:strict"`
		D int           `json:"d_d,case:ignore"`
		E []byte        `json:"e,format:hex"`
	}
	cases struct {
		A int `json:"a"`
		B int `json:"A"`
		C int `json:"aA"`
	}
	strs struct {
		A int     `json:"a,string"`
		B string  `json:"b,string"`
		C bool    `json:"c,string"`
		D *int    `json:"d,string"`
		E float64 `json:"e,string"`
	}
	functions struct {
		A func()
		B chan int
		C complex128
		D int
	}
	faces struct {
		A fmt.Stringer
		B error
		C any
	}
	keysOf struct {
		A map[keyed]int
		B map[int8]int
		C map[level]string
		D map[json.Number]int
		E map[bool]int
	}
	numbers struct {
		A json.Number
		B []json.Number
		C *struct{ N json.Number }
		D any
	}
	deep struct {
		A **struct{ B ***int }
		C [][][]int
		D map[string]map[string][]*tree
	}
	selfish struct {
		S shout
		K keeper
		W *within
		L level
		N number
		X next
		G generic[int]
		H loud[[]int]
		T []level
	}
	Forest  map[string]Forest // these contain themselves
	Levels  []Levels
	Circle  *Circle // of which encoding/json reads null alone: anything else it goes on reading
	forests struct {
		A Forest
		B Levels
		C map[string][]Forest
		D *Forest
	}
	library struct {
		A big.Int
		B *big.Float
		C netip.Addr
		D time.Time
		E *time.Time
		F []time.Duration
	}
)

// Of some a linter does not think much.
var (
	oneName = structOf(`json:"x"`, `json:"x"`)
	quoted  = structOf(`json:"'a'"`, `json:"'b,c'"`, `json:"-,"`, `json:"\"d\""`, `json:"e,"`, `json:"f g"`, `json:"a/b,omitempty"`)
	nothing = reflect.StructOf([]reflect.StructField{{Name: "a", PkgPath: "codec", Type: reflect.TypeFor[int]()}})
	private = reflect.StructOf([]reflect.StructField{{Name: "a", PkgPath: "codec", Type: reflect.TypeFor[int](), Tag: `json:"a"`},
		{Name: "B", Type: reflect.TypeFor[int]()}})
	stringList = reflect.StructOf([]reflect.StructField{{Name: "F", Type: reflect.TypeFor[[]int](), Tag: `json:"f,string"`}})
)

// structOf has a field of type int for each tag: A, B ...
func structOf(tags ...reflect.StructTag) reflect.Type {
	var fields []reflect.StructField
	for i, tag := range tags {
		fields = append(fields, reflect.StructField{Name: string(rune('A' + i)), Type: reflect.TypeFor[int](), Tag: tag})
	}
	return reflect.StructOf(fields)
}

var oddTypes = []reflect.Type{
	reflect.TypeFor[embedded](), reflect.TypeFor[hidden](), reflect.TypeFor[clash](), reflect.TypeFor[hides](), reflect.TypeFor[twice](),
	reflect.TypeFor[tagged](), reflect.TypeFor[maps](), reflect.TypeFor[levels](), reflect.TypeFor[lifted](), reflect.TypeFor[Timed](),
	reflect.TypeFor[iface](), reflect.TypeFor[unknown](), quoted, stringList, reflect.TypeFor[formats](), reflect.TypeFor[cases](),
	oneName, reflect.TypeFor[strs](), private, nothing, reflect.TypeFor[functions](),
	reflect.TypeFor[faces](), reflect.TypeFor[keysOf](), reflect.TypeFor[numbers](), reflect.TypeFor[deep](), reflect.TypeFor[selfish](),
	reflect.TypeFor[library](), reflect.TypeFor[any](), reflect.TypeFor[tree](), reflect.TypeFor[refused](), reflect.TypeFor[[]refused](),
	reflect.TypeFor[generic[json.RawMessage]](), reflect.TypeFor[generic[*int]](), reflect.TypeFor[generic[generic[string]]](),
	reflect.TypeFor[shout](), reflect.TypeFor[*keeper](), reflect.TypeFor[map[string]next](), reflect.TypeFor[struct{}](),
	reflect.TypeFor[Forest](), reflect.TypeFor[Levels](), reflect.TypeFor[[]Forest](), reflect.TypeFor[map[string]*Levels](), reflect.TypeFor[forests](),
	reflect.TypeFor[json.Number](), reflect.TypeFor[[]byte](), reflect.TypeFor[fmt.Stringer](), reflect.TypeFor[func()](),
}

// oddTexts are objects of all members that the types above have, and each value in each of them.
func oddTexts() []string {
	texts := append([]string{"{}", "[]", "[{}]", ` {"A":1} `, `{"A":1} x`, ""}, words...)
	names := []string{"a", "A", "B", "C", "D", "E", "F", "G", "S", "K", "W", "L", "N", "X", "H", "T", "V", "x", "aA", "AA", "base", "Base", "Names", "Level", "Time",
		"'a'", "b,c", "'b,c'", "-", "d", "e", "f g", "a/b", "c_c", "dd", "C_C", "name", "kids", "more"}
	values := append([]string{`{}`, `[]`, `[1,2,3]`, `["1",null,2]`, `{"A":1,"B":2,"a":3}`, `{"1":1,"x":2,"level 3":"4"}`, `[{"A":1},{"a":2}]`, `{"B":7}`, `{"V":"v"}`,
		`"level 7"`, `"127.0.0.1"`, `1767323045`, `"0102"`, `[[[1],null,[]]]`, `{"k":{"k":[null,{"name":"n"}]}}`}, words...)
	for _, name := range names {
		for _, value := range values {
			texts = append(texts, fmt.Sprintf(`{"%s":%s}`, name, value))
			second := []string{"null", "1", `{"A":5}`, `[{"B":1}]`}[len(texts)/2%4]
			texts = append(texts, fmt.Sprintf(`{"%s":%s,"%s":%s,"D":1}`, name, value, name, second))
		}
	}
	return texts
}

// TestOdd reads what people may write into types that they may have.
func TestOdd(t *testing.T) {
	texts := oddTexts()
	for _, into := range oddTypes {
		for i, text := range texts {
			if wayOf(into) == slow && i%8 != 0 {
				continue // the same by nature
			}
			if !same(t, []byte(text), into) {
				break
			}
		}
	}
}

// The methods of a type are called once for each value, with the bytes that encoding/json gives, and not at all where the input is broken.
func TestMethodsAreCalledOnce(t *testing.T) {
	for text, want := range map[string]int{`[1,2]`: 2, `[1,"x"]`: 2, `[1,2`: 0, `[1,2] x`: 0, `[1,{}]`: 2, `[null,1]`: 2} {
		calls := 0
		into := []counted{{calls: &calls}, {calls: &calls}, {calls: &calls}}
		wrapped := struct {
			Counted []counted
			Before  int8
		}{into, 0}
		_ = JSON{}.Unmarshal([]byte(`{"Before":1000,"Counted":`+text+`}`), &wrapped)
		if calls != want {
			t.Errorf("%s: %d calls, want %d", text, calls, want)
		}
	}
	if fresh := reflect.TypeFor[struct{ C []counted }](); wayOf(fresh) != slow {
		t.Errorf("%v is read in the way %d", fresh, wayOf(fresh))
	}
}

type counted struct{ calls *int }

func (c *counted) UnmarshalJSON([]byte) error {
	*c.calls++
	return nil
}
