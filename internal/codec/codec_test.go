package codec

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

type inner struct {
	A int `json:"a"`
	B *string
}

type tree struct {
	Name string           `json:"name"`
	Kids []*tree          `json:"kids"`
	More map[string]*tree `json:"more"`
}

// same holds the codec against encoding/json on one text: the value, also what is left of it with an error, and the error.
func same(t *testing.T, text []byte, into reflect.Type) bool {
	t.Helper()
	got, want := reflect.New(into), reflect.New(into)
	gotErr, wantErr := JSON{}.Unmarshal(text, got.Interface()), json.Unmarshal(text, want.Interface())
	if !reflect.DeepEqual(got.Interface(), want.Interface()) || !reflect.DeepEqual(gotErr, wantErr) {
		t.Errorf("%.1000q into %v: %+v, %.300v; want %+v, %.300v", text, into, got.Elem(), gotErr, want.Elem(), wantErr)
		return false
	}
	return true
}

func TestWays(t *testing.T) {
	type big struct{ Names [2000]string }
	for into, want := range map[reflect.Type]way{
		reflect.TypeFor[inner](): fast, reflect.TypeFor[tree](): fast, reflect.TypeFor[[]inner](): fast, reflect.TypeFor[map[string]inner](): fast,
		reflect.TypeFor[string](): fast, reflect.TypeFor[embedded](): fast, reflect.TypeFor[deep](): fast, reflect.TypeFor[generic[*tree]](): fast,
		reflect.TypeFor[struct{ Any any }](): fast, reflect.TypeFor[struct{ ID uuid.UUID }](): fast, reflect.TypeFor[json.RawMessage](): fast,
		reflect.TypeFor[map[int8][]byte](): fast, reflect.TypeFor[struct{ For time.Duration }](): fast,
		reflect.TypeFor[struct{ At *time.Time }](): fastUnescaped, reflect.TypeFor[map[string][]time.Time](): fastUnescaped,
		reflect.TypeFor[any](): slow, reflect.TypeFor[map[string]any](): slow, reflect.TypeFor[[]map[string]*any](): slow,
		reflect.TypeFor[numbers](): slow, reflect.TypeFor[map[json.Number]int](): slow, reflect.TypeFor[strs](): slow, quoted: slow,
		reflect.TypeFor[struct{ N next }](): slow, reflect.TypeFor[map[keyed]int](): slow, reflect.TypeFor[struct{ L []*level }](): slow,
		reflect.TypeFor[lifted](): slow, reflect.TypeFor[struct{ S shout }](): slow, reflect.TypeFor[functions](): slow,
		reflect.TypeFor[faces](): slow, reflect.TypeFor[formats](): slow, reflect.TypeFor[unknown](): slow, reflect.TypeFor[big](): slow,
		reflect.TypeFor[struct{ P []*big }](): slow, private: slow, nothing: slow, reflect.TypeFor[hidden](): slow,
		reflect.TypeFor[struct{ More *struct{ L loud[int] } }](): slow, reflect.TypeFor[chan int](): slow, reflect.TypeFor[error](): slow,
	} {
		if got := wayOf(into); got != want {
			t.Errorf("%v: %d, want %d", into, got, want)
		}
	}
}

// A type that contains itself is looked at once; the minute stands for ever.
func TestTypesWithoutEnd(t *testing.T) {
	for into, want := range map[reflect.Type]way{
		reflect.TypeFor[Forest](): slow, reflect.TypeFor[Levels](): slow, reflect.TypeFor[Circle](): slow, reflect.TypeFor[[]Forest](): slow,
		reflect.TypeFor[map[string]*Levels](): slow, reflect.TypeFor[**Circle](): slow, reflect.TypeFor[forests](): fast,
	} {
		got := make(chan way, 1)
		go func() { got <- wayOf(into) }()
		select {
		case how := <-got:
			if how != want {
				t.Errorf("%v: %d, want %d", into, how, want)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%v is looked at for ever", into)
		}
	}
	same(t, []byte("null"), reflect.TypeFor[Circle]())
	same(t, []byte(`{"a":{"b":null,"c":{}}}`), reflect.TypeFor[Forest]())
	same(t, []byte(`[[],null,[[]]]`), reflect.TypeFor[Levels]())
}

// What is in the target already stays where encoding/json leaves it.
func TestIntoWhatIsThere(t *testing.T) {
	type all struct {
		In   *inner
		Any  any
		Map  map[string]*inner
		List []inner
	}
	fill := func() *all {
		return &all{&inner{A: 1}, &inner{A: 2}, map[string]*inner{"k": {A: 3}}, append(make([]inner, 0, 3), inner{A: 4}, inner{A: 5})}
	}
	for _, text := range []string{`{"In":{"B":"b"},"Any":{"B":"b"},"Map":{"k":{"B":"b"},"n":{}},"List":[{"B":"b"}]}`, `{"In":{"a":"x"},"Any":1}`, `{`, `{"In":null,"Any":null,"List":[]}`} {
		got, want := fill(), fill()
		gotErr, wantErr := JSON{}.Unmarshal([]byte(text), got), json.Unmarshal([]byte(text), want)
		if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(gotErr, wantErr) {
			t.Errorf("%s: %+v, %v; want %+v, %v", text, got, gotErr, want, wantErr)
		}
	}
}

func TestTargetsThatCannotBe(t *testing.T) {
	for _, bad := range []any{nil, inner{}, (*inner)(nil), func() {}} {
		want := json.Unmarshal([]byte(`{}`), bad)
		if err := (JSON{}).Unmarshal([]byte(`{}`), bad); want == nil || !reflect.DeepEqual(err, want) {
			t.Errorf("into %T: %v, want %v", bad, err, want)
		}
	}
}

// encoding/json reads 10,000 levels; more are an error, not an overflow of the stack.
func TestNesting(t *testing.T) {
	for _, n := range []int{9_999, 10_000, 10_001, 10_002, 200_000} {
		for open, end := range map[string]string{"[": "]", `{"kids":[`: "]}", `{"more":{"k":`: "}}", `{"x":`: "}"} {
			levels := (n + 1) / strings.Count(strings.NewReplacer("{", "[").Replace(open), "[")
			text := []byte(strings.Repeat(open, levels) + strings.Repeat(end, levels))
			if open[0] == '{' && open != `{"kids":[` {
				text = []byte(strings.Repeat(open, levels) + "null" + strings.Repeat(end, levels))
			}
			for _, into := range []reflect.Type{reflect.TypeFor[tree](), reflect.TypeFor[struct{ X json.RawMessage }](), reflect.TypeFor[struct{ X any }](), reflect.TypeFor[any]()} {
				got, want := reflect.New(into), reflect.New(into)
				gotErr, wantErr := JSON{}.Unmarshal(text, got.Interface()), json.Unmarshal(text, want.Interface())
				if !reflect.DeepEqual(gotErr, wantErr) || wantErr == nil && !reflect.DeepEqual(got.Interface(), want.Interface()) {
					t.Errorf("%d levels of %s into %v: %v, want %v", n, open, into, gotErr, wantErr)
				}
			}
		}
	}
}

func TestLong(t *testing.T) {
	long := strings.Repeat("7", 1<<18)
	for _, text := range []string{`{"name":"` + long + `"}`, `{"` + long + `":1,"name":"n"}`, `{"a":` + long + `}`, `{"a":0.` + long + `}`,
		`{"kids":[` + strings.Repeat(`{"name":"n"},`, 10_000) + `null]}`, `{"name":"` + strings.Repeat(`\u00e9`, 1<<17) + `"}`, strings.Repeat(" ", 1<<20) + "{}"} {
		for _, into := range []reflect.Type{reflect.TypeFor[tree](), reflect.TypeFor[struct{ A float64 }](), reflect.TypeFor[inner]()} {
			same(t, []byte(text), into)
		}
	}
}

// The bytes that were read are overwritten with the next message: nothing may point into them.
func TestNothingAliasesTheInput(t *testing.T) {
	type all struct {
		S    string
		B    []byte
		R    json.RawMessage
		N    named
		List []string
		Map  map[string]string
		Any  any
		P    *string
		Long string
		ID   uuid.UUID
	}
	text := []byte(`{"S":"one","B":"AQIDBA==","R":{"raw":[1]},"N":7,"List":["two","x"],"Map":{"key":"three"},"Any":{"in":["four",1]},"P":"five","Long":"` +
		strings.Repeat("long", 100) + `","ID":"0b2c6b0e-2f5b-4a2e-9a53-5b8c1f3c2d11"}`)
	var got, want all
	if err := json.Unmarshal(bytes.Clone(text), &want); err != nil {
		t.Fatal(err)
	}
	if err := (JSON{}).Unmarshal(text, &got); err != nil || wayOf(reflect.TypeFor[all]()) != fast {
		t.Fatal(err, wayOf(reflect.TypeFor[all]()))
	}
	for i := range text {
		text[i] = '#'
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
}

// A type is looked at when it comes for the first time, maybe by many at once.
func TestManyAtOnce(t *testing.T) {
	type first struct {
		Tree tree
		At   time.Time
	}
	text := []byte(`{"Tree":{"name":"n","kids":[{"name":"k"}]},"At":"2026-01-02T03:04:05Z"}`)
	var want first
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 50 {
				var got first
				if err := (JSON{}).Unmarshal(text, &got); err != nil || !reflect.DeepEqual(got, want) {
					t.Errorf("%+v, %v", got, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestWriting(t *testing.T) {
	for _, v := range []any{nil, inner{A: 1}, map[string]any{"b": "<&>\u2028\xff", "a": []byte{1}, "c": 1e21}, func() {}, math.NaN(), json.RawMessage(`{`), []tree{}, time.Time{},
		strings.Repeat("x", maxScratch+1), "after a large one"} {
		want, wantErr := json.Marshal(v)
		b, err := JSON{}.Marshal(v)
		if !bytes.Equal(b, want) || !sameError(err, wantErr) {
			t.Errorf("%v: %s, %v; want %s, %v", v, b, err, want, wantErr)
		}
		b, err = JSON{}.Append([]byte("before"), v)
		if string(b) != "before"+string(want) || !sameError(err, wantErr) {
			t.Errorf("%v behind something: %s, %v; want %s, %v", v, b, err, want, wantErr)
		}
	}
	if name := (JSON{}).Name(); name != "json" {
		t.Error(name)
	}
}

func sameError(a, b error) bool {
	return a == nil && b == nil || a != nil && b != nil && a.Error() == b.Error()
}
