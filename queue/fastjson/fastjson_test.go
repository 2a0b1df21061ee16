package fastjson

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/tidemill/tidemill/pubsub"
	"github.com/tidemill/tidemill/queue"
)

var (
	_ queue.Codec  = Codec{}
	_ pubsub.Codec = Codec{}
)

type inner struct {
	A int `json:"a"`
	B *string
}

type everything struct {
	inner
	Name  string            `json:"name,omitempty"`
	Count int8              `json:"count,string"`
	Ratio float64           `json:"ratio"`
	At    time.Time         `json:"at"`
	For   time.Duration     `json:"for"`
	Raw   json.RawMessage   `json:"raw"`
	Bytes []byte            `json:"bytes"`
	Map   map[string]*inner `json:"map"`
	Any   any               `json:"any"`
	List  []inner           `json:"list"`
	Array [2]bool           `json:"array"`
	Skip  int               `json:"-"`
}

var texts = []string{
	`{}`, `null`, `[]`, `"x"`, `1`, `{`, ``, `{"name":1}`, `{"NAME":"by its case","name":"twice"}`, `{"count":"300"}`, `{"count":"7"}`,
	`{"a":1,"B":"b","ratio":1e3,"at":"2026-01-02T03:04:05.678Z","for":5,"raw":{"x": [1]},"number":12.50,"bytes":"AQI=","map":{"k":{"a":2}},` +
		`"any":{"z":[1,null,"<&>"]},"list":[{"a":3},{}],"array":[true],"unknown":1}`,
	`{"number":"12"}`, `{"number":"x"}`, `{"any":1e400}`, "{\"name\":\"\xff\"}", `{"name":"\ud800"}`, `{"at":"never"}`, `{"list":[{"a":"x"}],"name":"n"}`,
	`{"raw":null,"map":null,"array":[true,false,true]}`, ` {"name":"spaces"} `, `{"name":"a"} x`,
}

type numbered struct {
	everything
	Numbers map[string][]*struct{ N json.Number } `json:"numbers"`
	Number  json.Number                           `json:"number"`
}

// same holds the codec against encoding/json on one text.
func same[T any](t *testing.T, text []byte) {
	t.Helper()
	var got, want T
	gotErr, wantErr := Codec{}.Unmarshal(text, &got), json.Unmarshal(text, &want)
	if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(gotErr, wantErr) {
		t.Errorf("%q into %T: %+v, %v; want %+v, %v", text, got, got, gotErr, want, wantErr)
	}
	if wantErr != nil {
		return
	}
	b, err := Codec{}.Marshal(want)
	wantB, wantErr := json.Marshal(want)
	if string(b) != string(wantB) || !reflect.DeepEqual(err, wantErr) {
		t.Errorf("%+v: %s, %v; want %s, %v", want, b, err, wantB, wantErr)
	}
}

func TestAsTheDefault(t *testing.T) {
	for _, text := range texts {
		same[everything](t, []byte(text))
		same[numbered](t, []byte(text))
		same[any](t, []byte(text))
		same[map[string]any](t, []byte(text))
		same[*inner](t, []byte(text))
	}
	for _, bad := range []any{nil, inner{}, (*inner)(nil)} {
		if err := (Codec{}).Unmarshal([]byte(`{}`), bad); err == nil || err.Error() != json.Unmarshal([]byte(`{}`), bad).Error() {
			t.Errorf("into %T: %v", bad, err)
		}
	}
	kept := inner{A: 1}
	if err := (Codec{}).Unmarshal([]byte(`{"B":"b"}`), &kept); err != nil || kept.A != 1 || *kept.B != "b" {
		t.Errorf("into what is there: %+v, %v", kept, err)
	}
	if _, err := (Codec{}).Marshal(func() {}); err == nil || err.Error() != "json: unsupported type: func()" {
		t.Errorf("a func: %v", err)
	}
}

func FuzzAsTheDefault(f *testing.F) {
	for _, text := range texts {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		same[everything](t, text)
		same[numbered](t, text)
		same[any](t, text)
	})
}

func BenchmarkUnmarshal(b *testing.B) {
	type price struct {
		ID     int64   `json:"id"`
		Symbol string  `json:"symbol"`
		Price  float64 `json:"price"`
		Source string  `json:"source"`
		Note   string  `json:"note"`
	}
	text := []byte(`{"id":123456789,"symbol":"TIDE","price":1234.56,"source":"a source of prices","note":"` +
		`some words that make of it a message of about two hundred bytes, as those are that programs send to each other"}`)
	for name, codec := range map[string]queue.Codec{"default": queue.JSON, "fastjson": Codec{}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var p price
				if err := codec.Unmarshal(text, &p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
