package workerfile

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/tidemill/tidemill/internal/nearest"
)

// decoder puts a parsed file into structs and gathers faults.
type decoder struct {
	source  *Source
	file    *File
	anchors map[string]ast.Node
	faults  Faults
}

func (d *decoder) fault(at position, path, format string, args ...any) {
	d.faults = append(d.faults, Fault{File: d.source.Name, Line: at.line, Column: at.column, Field: path, Text: fmt.Sprintf(format, args...)})
}

// decodeStruct fills a struct from a mapping, or where it has a field for that, from a plain value.
func (d *decoder) decodeStruct(n ast.Node, path string, how *field, to reflect.Value) {
	fields := fieldsOf(to.Type())
	like := "handlers: {\"demo.*\": {builtin: log}}"
	if how != nil {
		like = how.like
	}
	if _, plain := n.(ast.ScalarNode); plain {
		for _, f := range fields {
			if f.scalar && !isNull(n) {
				d.decode(n, path, f, to.Field(f.index))
				return
			}
		}
	}
	list, ok := d.entries(n, path, like)
	if !ok {
		return
	}
	given := make(map[string]bool)
	for _, e := range list {
		given[e.key] = true
		f := find(fields, e.key)
		if f == nil {
			hint := belongs(e.key, fields)
			if hint == "" {
				hint = meant(e.key, names(fields))
				given[nearest.Of(e.key, names(fields))] = true // it is there, misspelled: that is one fault
			}
			d.fault(e.at, join(path, e.key), "unknown field; %sallowed: %s", hint, strings.Join(names(fields), ", "))
			continue
		}
		d.set(e, join(path, e.key), f, to.Field(f.index))
	}
	for _, f := range fields {
		if f.required && !given[f.name] {
			d.fault(tokenPosition(n), join(path, f.name), "is missing%s", such(f.example()))
		}
	}
}

// set decodes one entry.
func (d *decoder) set(e entry, path string, f *field, to reflect.Value) {
	n := d.resolve(e.value, path)
	if n == nil {
		return
	}
	d.file.at[path] = tokenPosition(n)
	if d.file.at[path].line > e.at.line { // what stands in lines below its name is found by that
		d.file.at[path] = e.at
	}
	if isNull(n) {
		if !f.null {
			d.fault(e.at, path, "has no value; give one, or leave the line out%s", such(f.example()))
		}
		return
	}
	if to.Kind() == reflect.Pointer {
		fresh := reflect.New(to.Type().Elem())
		to.Set(fresh)
		to = fresh.Elem()
	}
	switch {
	case to.Kind() == reflect.Struct:
		d.decodeStruct(n, path, f, to)
	case f.named():
		d.decodeNamed(n, path, f, to)
	case to.Kind() == reflect.Slice:
		d.decodeList(n, path, f, to)
	case to.Kind() == reflect.Map:
		d.decodeMap(n, path, f, to)
	default:
		d.decode(n, path, f, to)
	}
}

// decodeNamed fills a list of structs from a mapping: the key is one of their fields.
func (d *decoder) decodeNamed(n ast.Node, path string, f *field, to reflect.Value) {
	list, _ := d.entries(n, path, f.like)
	for i, e := range list {
		inner := join(path, e.key)
		if d.misplaced(e, f) {
			d.fault(e.at, inner, "stands beside the %s, where only their names may; indent it below %s", f.name, keyWord(f.typ.Elem()))
			continue
		}
		if isNull(e.value) && i+1 < len(list) && d.misplaced(list[i+1], f) {
			continue // what it lacks is what follows, and that is told
		}
		value := d.resolve(e.value, inner)
		if value == nil {
			continue
		}
		d.file.at[inner] = e.at
		one := reflect.New(to.Type().Elem()).Elem()
		one.Field(keyIndex(one.Type())).SetString(e.key)
		switch {
		case !isNull(value):
			d.decodeStruct(value, inner, &field{like: inside(f.like)}, one)
		case !f.null:
			d.fault(e.at, inner, "has no value; give one, or leave the line out")
		}
		to.Set(reflect.Append(to, one))
	}
}

func (d *decoder) decodeList(n ast.Node, path string, f *field, to reflect.Value) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		d.fault(tokenPosition(n), path, "%s is no list%s%s", d.shown(n), such(f.like), f.hint)
		return
	}
	for i, item := range seq.Values {
		inner := fmt.Sprintf("%s[%d]", path, i)
		value := d.resolve(item, inner)
		if value == nil {
			continue
		}
		d.file.at[inner] = tokenPosition(value)
		one := reflect.New(to.Type().Elem()).Elem()
		if f.structs() {
			d.decodeStruct(value, inner, &field{like: first(f.like)}, one)
		} else {
			d.decode(value, inner, f, one)
		}
		to.Set(reflect.Append(to, one))
	}
}

func (d *decoder) decodeMap(n ast.Node, path string, f *field, to reflect.Value) {
	list, ok := d.entries(n, path, f.like)
	if !ok {
		return
	}
	to.Set(reflect.MakeMap(to.Type()))
	for _, e := range list {
		inner := join(path, e.key)
		value := d.resolve(e.value, inner)
		if value == nil {
			continue
		}
		d.file.at[inner] = tokenPosition(value)
		one := reflect.New(to.Type().Elem()).Elem()
		d.decode(value, inner, f, one)
		to.SetMapIndex(reflect.ValueOf(e.key), one)
	}
}

// misplaced tells an entry of a mapping of names that is no name but a field of what is named: its indentation is wrong.
func (d *decoder) misplaced(e entry, f *field) bool {
	own := fieldsOf(f.typ.Elem())
	like := find(own, e.key)
	value := e.value
	if anchor, ok := value.(*ast.AnchorNode); ok {
		value = anchor.Value
	}
	if alias, ok := value.(*ast.AliasNode); ok {
		value = d.anchors[alias.Value.GetToken().Value]
	}
	if like == nil || isNull(value) {
		return false
	}
	if _, _, plain := scalar(value); plain {
		return true
	}
	below := like.fieldsBelow()
	fits := false
	for _, pair := range pairs(value) {
		key, _ := keyText(pair.Key)
		if find(below, key) != nil {
			fits = fits || find(own, key) == nil
		} else if find(own, key) != nil {
			return false // as a name it makes sense
		}
	}
	return fits
}

// belongs is "it belongs under x; " where a field is unknown here, but not one step down.
func belongs(name string, fields []*field) string {
	for _, f := range fields {
		if find(f.fieldsBelow(), name) != nil {
			return fmt.Sprintf("it belongs under %s; ", f.name)
		}
		if f.named() && find(fieldsOf(f.typ.Elem()), name) != nil {
			return fmt.Sprintf("it belongs under %s, below %s; ", f.name, keyWord(f.typ.Elem()))
		}
		if f.structs() && find(fieldsOf(f.typ.Elem()), name) != nil {
			return fmt.Sprintf("it belongs into the list %s; ", f.name)
		}
	}
	return ""
}

// meant is "did you mean x? " where one of the names is near.
func meant(typed string, names []string) string {
	if name := nearest.Of(typed, names); name != "" {
		return "did you mean " + name + "? "
	}
	return ""
}

// such is an example behind a text.
func such(like string) string {
	if like == "" {
		return ""
	}
	return "; such as " + like
}

// first is the first value of an example of a list of mappings.
func first(like string) string { return strings.TrimSuffix(strings.TrimPrefix(like, "["), "]") }

// inside is the first value of an example of a mapping.
func inside(like string) string {
	_, rest, _ := strings.Cut(like, ": ")
	if at := strings.Index(rest, "}"); at >= 0 && strings.HasPrefix(rest, "{") {
		return rest[:at+1]
	}
	return ""
}

var durationType = reflect.TypeFor[time.Duration]()
