package workerfile

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

var update = flag.Bool("update", false, "write docs/worker.schema.json anew")

// The schema that ships is the one that the structs make.
func TestSchemaFile(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "worker.schema.json")
	if *update {
		if err := os.WriteFile(path, Schema(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	shipped, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(shipped, Schema()) {
		t.Errorf("%s is not what the structs say; if they changed on purpose: go test ./internal/workerfile -update", path)
	}
}

func schemaMap(t *testing.T) map[string]any {
	t.Helper()
	var root map[string]any
	if err := json.Unmarshal(Schema(), &root); err != nil {
		t.Fatal(err)
	}
	return root
}

// The structs and the schema say the same, both ways: names, types, what is required, and the words that are allowed. It
// reads the structs by itself, not through what makes the schema.
func TestSchemaAgainstStructs(t *testing.T) {
	compareStruct(t, "", reflect.TypeFor[File](), schemaMap(t))
}

func compareStruct(t *testing.T, path string, typ reflect.Type, schema map[string]any) {
	t.Helper()
	if schema["type"] != "object" || schema["additionalProperties"] != false {
		t.Errorf("%s: takes more than its fields", path)
	}
	properties, _ := schema["properties"].(map[string]any)
	var required []string
	seen := 0
	for i := range typ.NumField() {
		sf := typ.Field(i)
		name := sf.Tag.Get("yaml")
		if name == "-" || !sf.IsExported() {
			continue
		}
		seen++
		property, ok := properties[name].(map[string]any)
		if !ok {
			t.Errorf("%s.%s is not in the schema", path, name)
			continue
		}
		if property["description"] == "" || property["description"] != sf.Tag.Get("doc") {
			t.Errorf("%s.%s is described as %q", path, name, property["description"])
		}
		if sf.Tag.Get("required") == "true" {
			required = append(required, name)
		}
		compareField(t, path+"."+name, sf, property)
	}
	if seen != len(properties) {
		t.Errorf("%s: %d fields and %d properties", path, seen, len(properties))
	}
	var listed []string
	if list, ok := schema["required"].([]any); ok {
		for _, name := range list {
			listed = append(listed, name.(string))
		}
	}
	if !slices.Equal(required, listed) {
		t.Errorf("%s: requires %q, the schema %q", path, required, listed)
	}
}

func compareField(t *testing.T, path string, sf reflect.StructField, property map[string]any) {
	t.Helper()
	typ := sf.Type
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	// A value, or a text with a variable in it.
	first := property
	if choice, ok := property["anyOf"].([]any); ok {
		first = choice[0].(map[string]any)
	}
	switch {
	case typ == reflect.TypeFor[time.Duration]():
		if first["type"] != "string" || first["pattern"] == nil {
			t.Errorf("%s: a duration is %v", path, first)
		}
	case typ.Kind() == reflect.Struct:
		inner := property
		if choice, ok := property["anyOf"].([]any); ok {
			inner = choice[1].(map[string]any)
		}
		compareStruct(t, path, typ, inner)
	case typ == reflect.TypeFor[[]Subscription]():
		if property["type"] != "array" {
			t.Errorf("%s: a list is %v", path, property)
		}
		compareStruct(t, path+"[]", typ.Elem(), property["items"].(map[string]any))
	case typ.Kind() == reflect.Slice && typ.Elem().Kind() == reflect.Struct:
		inner := property["additionalProperties"].(map[string]any)
		if choice, ok := inner["anyOf"].([]any); ok {
			inner = choice[0].(map[string]any)
		}
		compareStruct(t, path+".*", typ.Elem(), inner)
	case typ.Kind() == reflect.Slice:
		if property["type"] != "array" || property["items"] == nil {
			t.Errorf("%s: a list is %v", path, property)
		}
	case typ.Kind() == reflect.Map:
		if property["type"] != "object" || property["additionalProperties"] == nil {
			t.Errorf("%s: a mapping is %v", path, property)
		}
	case sf.Tag.Get("oneof") != "":
		var words []string
		for _, word := range first["enum"].([]any) {
			words = append(words, word.(string))
		}
		if strings.Join(words, ",") != sf.Tag.Get("oneof") {
			t.Errorf("%s: one of %q, the schema %q", path, sf.Tag.Get("oneof"), words)
		}
	default:
		want, numbers := map[reflect.Kind]string{reflect.Int: "integer", reflect.Float64: "number", reflect.Bool: "boolean"}[typ.Kind()]
		if numbers && first["type"] != want || !numbers && !reflect.DeepEqual(first["type"], []any{"string", "number", "boolean"}) {
			t.Errorf("%s: a %s is %v", path, typ, first)
		}
		for tag, keyword := range map[string]string{"min": "minimum", "max": "maximum"} {
			var bound any
			if text := sf.Tag.Get(tag); text != "" {
				if err := json.Unmarshal([]byte(text), &bound); err != nil {
					t.Fatal(err)
				}
			}
			if !reflect.DeepEqual(first[keyword], bound) {
				t.Errorf("%s: %s is %v, want %v", path, keyword, first[keyword], bound)
			}
		}
	}
}

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource(SchemaID, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(SchemaID)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// validate holds a file against the schema, as an editor does.
func validate(t *testing.T, s *jsonschema.Schema, file string) error {
	t.Helper()
	asJSON, err := yaml.YAMLToJSON([]byte(file))
	if err != nil {
		return err
	}
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		return err
	}
	return s.Validate(instance)
}

// The schema refuses the bad files of the table, but for those that it cannot know.
func TestSchemaRefuses(t *testing.T) {
	s := compiled(t)
	for _, tt := range bad {
		if !tt.beyond && validate(t, s, tt.file) == nil {
			t.Errorf("%s: the schema has no objection to\n%s", tt.name, tt.file)
		}
	}
}

// The schema takes what the parser takes: the files of the examples and of the documents.
func TestSchemaTakes(t *testing.T) {
	s := compiled(t)
	for name, file := range documented(t) {
		if err := validate(t, s, file); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// documented are the whole configurations of docs/worker-yaml.md and of the examples.
func documented(t *testing.T) map[string]string {
	t.Helper()
	files := make(map[string]string)
	paths, err := filepath.Glob("../../examples/*/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[path] = string(data)
	}
	text, err := os.ReadFile("../../docs/worker-yaml.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range strings.Split(string(text), "```yaml\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		if !strings.Contains(block, "handlers:") { // a piece: what it lacks is not its matter
			block += "\n" + good
		}
		files["docs/worker-yaml.md: "+strings.SplitN(block, "\n", 2)[0]] = block
	}
	if len(files) < 6 {
		t.Errorf("only %d configurations found", len(files))
	}
	return files
}

// Every configuration in the documents is a good one. Files that they name are made up.
func TestDocumented(t *testing.T) {
	for name, file := range documented(t) {
		s := text(file)
		s.Name = name
		s.Read = func(string) ([]byte, error) { return []byte("made up"), nil }
		s.Lookup = func(string) (string, bool) { return "", false }
		for _, set := range []string{"SHOP_DB_PASSWORD", "HOOK_SECRET"} {
			before := s.Lookup
			s.Lookup = func(n string) (string, bool) {
				if n == set {
					return "made up", true
				}
				return before(n)
			}
		}
		if _, err := Parse(s); err != nil {
			t.Error(err)
		}
	}
}
