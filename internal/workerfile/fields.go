package workerfile

import (
	"reflect"
	"strings"
)

// field is what the tags say of a field.
type field struct {
	index    int
	name     string
	typ      reflect.Type // what a pointer points to
	min, max string
	oneof    []string
	like     string
	doc      string
	hint     string
	secret   bool
	scalar   bool
	required bool
	null     bool
}

// fieldsOf are a struct's fields that the file may set, in their order.
func fieldsOf(t reflect.Type) []*field {
	var list []*field
	for i := range t.NumField() {
		sf := t.Field(i)
		name := sf.Tag.Get("yaml")
		if name == "" || name == "-" {
			continue
		}
		typ := sf.Type
		if typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
		f := &field{index: i, name: name, typ: typ, min: sf.Tag.Get("min"), max: sf.Tag.Get("max"), like: sf.Tag.Get("like"), doc: sf.Tag.Get("doc"), hint: sf.Tag.Get("hint"),
			secret: sf.Tag.Get("secret") != "", scalar: sf.Tag.Get("scalar") != "", required: sf.Tag.Get("required") != "", null: sf.Tag.Get("null") != ""}
		if words := sf.Tag.Get("oneof"); words != "" {
			f.oneof = strings.Split(words, ",")
		}
		list = append(list, f)
	}
	return list
}

// keyIndex is the place of the field that takes a mapping's key.
func keyIndex(t reflect.Type) int {
	for i := range t.NumField() {
		if t.Field(i).Tag.Get("key") != "" {
			return i
		}
	}
	panic("workerfile: " + t.Name() + " has no field for its key")
}

// keyWord is what a struct's key names, such as "a kind".
func keyWord(t reflect.Type) string { return t.Field(keyIndex(t)).Tag.Get("key") }

// fieldsBelow are the fields of what a field holds, none where that is no struct.
func (f *field) fieldsBelow() []*field {
	if f.typ.Kind() != reflect.Struct {
		return nil
	}
	return fieldsOf(f.typ)
}

// named tells a mapping whose keys are names of structs.
func (f *field) named() bool {
	return f.structs() && hasKey(f.typ.Elem())
}

// structs tells a list of structs: by name, or one after the other.
func (f *field) structs() bool {
	return f.typ.Kind() == reflect.Slice && f.typ.Elem().Kind() == reflect.Struct
}

func hasKey(t reflect.Type) bool {
	for i := range t.NumField() {
		if t.Field(i).Tag.Get("key") != "" {
			return true
		}
	}
	return false
}

// example is the field with an example of its value, where there is one.
func (f *field) example() string {
	if f.like == "" {
		return ""
	}
	return f.name + ": " + f.like
}

func find(fields []*field, name string) *field {
	for _, f := range fields {
		if f.name == name {
			return f
		}
	}
	return nil
}

func names(fields []*field) []string {
	list := make([]string, len(fields))
	for i, f := range fields {
		list[i] = f.name
	}
	return list
}
