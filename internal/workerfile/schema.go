package workerfile

import (
	"bytes"
	"encoding/json"
	"reflect"
)

// SchemaID is where the JSON Schema is published.
const SchemaID = "https://raw.githubusercontent.com/tidemill/tidemill/main/docs/worker.schema.json"

// object is a JSON object whose keys keep their order.
type object []member

type member struct {
	key   string
	value any
}

// MarshalJSON writes the members in their order.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		key, _ := json.Marshal(m.key)
		b.Write(key)
		b.WriteByte(':')
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(m.value); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// expandable is a text that holds a variable, for values that are no text themselves.
var expandable = object{{"type", "string"}, {"pattern", `\$\{`}}

// Schema is the JSON Schema (draft 2020-12) of worker.yaml, made of the structs.
func Schema() []byte {
	root := append(object{
		{"$schema", "https://json-schema.org/draft/2020-12/schema"},
		{"$id", SchemaID},
		{"title", "worker.yaml"},
		{"description", "What Tidemill's worker runs. docs/worker-yaml.md is the reference."},
	}, structSchema(reflect.TypeFor[File]())...)
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		panic("workerfile: " + err.Error())
	}
	return append(text, '\n')
}

func structSchema(t reflect.Type) object {
	var properties object
	var required []string
	for _, f := range fieldsOf(t) {
		properties = append(properties, member{f.name, f.schema()})
		if f.required {
			required = append(required, f.name)
		}
	}
	o := object{{"type", "object"}, {"additionalProperties", false}, {"properties", properties}}
	if required != nil {
		o = append(o, member{"required", required})
	}
	if t == reflect.TypeFor[Handler]() {
		var ways []object
		for _, way := range []string{"exec", "http", "builtin"} {
			ways = append(ways, object{{"required", []string{way}}})
		}
		o = append(o, member{"oneOf", ways})
	}
	if t == reflect.TypeFor[Subscription]() {
		o = append(o, member{"oneOf", []object{{{"required", []string{"topic"}}}, {{"required", []string{"pattern"}}}}},
			member{"dependentRequired", object{{"durable", []string{"topic"}}}})
	}
	return o
}

// schema is one property.
func (f *field) schema() object {
	o := object{{"description", f.doc}}
	switch {
	case f.named():
		inner := any(structSchema(f.typ.Elem()))
		if f.null {
			inner = object{{"anyOf", []any{inner, object{{"type", "null"}}}}}
		}
		return append(o, member{"type", "object"}, member{"minProperties", 1}, member{"propertyNames", keySchema(f.typ.Elem())},
			member{"additionalProperties", inner})
	case f.typ.Kind() == reflect.Struct:
		inner := structSchema(f.typ)
		for _, own := range fieldsOf(f.typ) {
			if own.scalar {
				return append(o, member{"anyOf", []any{own.plain(own.typ), inner}})
			}
		}
		return append(o, inner...)
	case f.typ.Kind() == reflect.Map:
		return append(o, member{"type", "object"}, member{"additionalProperties", f.plain(f.typ.Elem())})
	case f.structs():
		return append(o, member{"type", "array"}, member{"minItems", 1}, member{"items", structSchema(f.typ.Elem())})
	case f.typ.Kind() == reflect.Slice:
		o = append(o, member{"type", "array"}, member{"items", f.plain(f.typ.Elem())})
		if f.required {
			o = append(o, member{"minItems", 1})
		}
		return o
	}
	return append(o, f.plain(f.typ)...)
}

// keySchema is what the keys of a mapping may be.
func keySchema(t reflect.Type) object {
	if t == reflect.TypeFor[Queue]() {
		return object{{"pattern", `^[A-Za-z0-9_.:-]{1,128}$`}}
	}
	return object{{"pattern", `^[^*\s]*\*?$`}, {"minLength", 1}, {"maxLength", 128}}
}

// plain is a value that is no mapping and no list.
func (f *field) plain(t reflect.Type) object {
	number := func(kind string) object {
		o := object{{"type", kind}}
		if f.min != "" {
			o = append(o, member{"minimum", json.Number(f.min)})
		}
		if f.max != "" {
			o = append(o, member{"maximum", json.Number(f.max)})
		}
		return object{{"anyOf", []any{o, expandable}}}
	}
	switch {
	case t == durationType:
		o := object{{"type", "string"}, {"pattern", `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$|\$\{`}}
		if f.min == "0s" {
			return object{{"anyOf", []any{o, object{{"const", 0}}}}}
		}
		return o
	case len(f.oneof) > 0:
		return object{{"anyOf", []any{object{{"enum", f.oneof}}, expandable}}}
	case t.Kind() == reflect.Int:
		return number("integer")
	case t.Kind() == reflect.Float64:
		return number("number")
	case t.Kind() == reflect.Bool:
		return object{{"anyOf", []any{object{{"type", "boolean"}}, expandable}}}
	}
	o := object{{"type", []string{"string", "number", "boolean"}}}
	if f.typ.Kind() == reflect.String {
		o = append(o, member{"minLength", 1})
	}
	return o
}
