package workerfile

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

func TestExpand(t *testing.T) {
	lookup := func(name string) (string, bool) {
		v, ok := map[string]string{"A": "one", "EMPTY": "", "_b2": "two", "D": "$A ${A}"}[name]
		return v, ok
	}
	for in, want := range map[string]string{
		"": "", "plain": "plain", "${A}": "one", "x${A}y${_b2}z": "xoneytwoz", "$$": "$", "$$A": "$A", "$${A}": "${A}", "$$$${A}$$": "$${A}$",
		"${A:-no}": "one", "${NOPE:-no}": "no", "${EMPTY:-no}": "no", "${EMPTY}": "", "${NOPE:-}": "", "${NOPE:-a:-b}": "a:-b",
		"${NOPE:-redis://h:1/0?x=$}": "redis://h:1/0?x=$", "${D}": "$A ${A}", "}{": "}{", "ö${A}": "öone",
	} {
		if got, err := expand(in, lookup); err != nil || got != want {
			t.Errorf("%q is %q (%v), want %q", in, got, err, want)
		}
	}
	for in, want := range map[string]string{
		"${NOPE}": "the variable NOPE is not set; set it, or write ${NOPE:-default}", "$A": "a $ stands alone", "a$": "a $ stands alone",
		"${A": "has no closing brace", "${}": `"${}" is no name`, "${a-b}": `"${a-b}" is no name`, "${1}": `"${1}" is no name`, "${A:?x}": `"${A:?x}" is no name`,
		"${:-x}": `"${}" is no name`, "$(ls)": "a $ stands alone", "${ A}": `"${ A}" is no name`,
	} {
		if got, err := expand(in, lookup); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is %q, error %v, want %q", in, got, err, want)
		}
	}
}

// Whatever stands there: text without a dollar sign stays as it is, doubled ones come out single, and nothing panics.
func FuzzExpand(f *testing.F) {
	for _, s := range []string{"", "$", "${A}", "${A:-b}", "$${", "a$$b${", "${A:-${B}}"} {
		f.Add(s)
	}
	lookup := func(name string) (string, bool) { return "<" + name + ">", name != "B" }
	f.Fuzz(func(t *testing.T, s string) {
		got, err := expand(strings.ReplaceAll(s, "$", "$$"), lookup)
		if err != nil || got != s {
			t.Errorf("%q with its dollar signs doubled is %q, %v", s, got, err)
		}
		_, _ = expand(s, lookup)
	})
}

// No text makes the parser panic or hang, every fault names a place that there is, and what is accepted says the same each
// time it is read.
func FuzzParse(f *testing.F) {
	for _, example := range []string{"checksums", "shell", "webhooks"} {
		b, err := os.ReadFile("../../examples/" + example + "/worker.yaml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	for _, row := range bad {
		if len(row.file) < 1000 {
			f.Add(row.file)
		}
	}
	f.Fuzz(func(t *testing.T, s string) {
		file, err := Parse(text(s))
		if err == nil {
			if again, err := Parse(text(s)); err != nil || !reflect.DeepEqual(file, again) {
				t.Errorf("%q: %+v, then %+v, %v", s, file, again, err)
			}
			return
		}
		lines := strings.Count(s, "\n") + strings.Count(s, "\r") + 1
		for _, fault := range err.(Faults) {
			if fault.Text == "" || fault.Line < 0 || fault.Line > lines+1 || fault.File != "worker.yaml" {
				t.Errorf("%q: fault %+v", s, fault)
			}
		}
	})
}
