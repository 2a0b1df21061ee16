package workerfile

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

func reference(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/worker-yaml.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The reference has a line for each field, and none for fields that there are not.
func TestReferenceIsWhole(t *testing.T) {
	text := reference(t)
	known := map[string]bool{"field": true}
	var walk func(prefix string, typ reflect.Type)
	walk = func(prefix string, typ reflect.Type) {
		for _, f := range fieldsOf(typ) {
			name := f.name
			if typ == reflect.TypeFor[TLS]() {
				name = "tls." + name
			}
			known[name] = true
			inner := f.typ
			if f.structs() {
				inner = f.typ.Elem()
			}
			if inner.Kind() == reflect.Struct {
				walk(prefix+name+".", inner)
				if inner == reflect.TypeFor[TLS]() {
					continue // its fields stand for it
				}
			}
			if !strings.Contains(text, "| `"+name+"`") && !strings.Contains(text, ", `"+name+"` |") {
				t.Errorf("%s%s has no line in docs/worker-yaml.md", prefix, name)
			}
		}
	}
	walk("", reflect.TypeFor[File]())
	for _, line := range strings.Split(text, "\n") {
		cell, ok := strings.CutPrefix(line, "| `")
		if !ok {
			continue
		}
		cell, _, _ = strings.Cut(cell, " | ")
		for _, name := range strings.Split(strings.Trim(cell, "`"), "`, `") {
			if !known[name] {
				t.Errorf("docs/worker-yaml.md tells of %q, which is no field", name)
			}
		}
	}
}

// The fault that the reference shows is the one that its file would give.
func TestReferenceFault(t *testing.T) {
	text0 := reference(t)
	_, file, _ := strings.Cut(text0, "```yaml\n")
	file, _, _ = strings.Cut(file, "```")
	s := text(strings.Replace(file, "], timeout: 5m}", "], timout: 5m}", 1))
	s.Read = func(string) ([]byte, error) { return []byte("made up"), nil }
	_, err := Parse(s)
	if err == nil || !strings.Contains(text0, "\n"+err.Error()+"\n") {
		t.Errorf("docs/worker-yaml.md does not show %v", err)
	}
}
