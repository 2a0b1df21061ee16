package workerfile

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
)

// Changes says in words how the handler of a kind differs between two files, field by field; both must have one. Show
// makes text of a value: a number, a text, a list of texts or a time.Duration. It gets no secret, and no text that holds
// a variable: of those is told only that they changed.
func Changes(was, now *File, kind string, show func(any) string) []string {
	c := &comparison{was: was, now: now, show: show}
	path := Field("handlers", kind)
	a, b := was.handler(kind), now.handler(kind)
	c.fields(path, reflect.ValueOf(*a), reflect.ValueOf(*b))
	if a.HTTP != nil && b.HTTP != nil {
		c.content(path+".http.secret_file", a.HTTP.SecretFile, b.HTTP.SecretFile, a.HTTP.signing, b.HTTP.signing)
		c.content(path+".http.bearer_file", a.HTTP.BearerFile, b.HTTP.BearerFile, a.HTTP.bearer, b.HTTP.bearer)
	}
	return c.list
}

func (f *File) handler(kind string) *Handler {
	for i := range f.Handlers {
		if f.Handlers[i].Kind == kind {
			return &f.Handlers[i]
		}
	}
	return nil
}

type comparison struct {
	was, now *File
	show     func(any) string
	list     []string
}

func (c *comparison) say(format string, args ...any) {
	c.list = append(c.list, fmt.Sprintf(format, args...))
}

// content tells of a file that a field names, where the name stayed.
func (c *comparison) content(path, was, now string, before, after []byte) {
	if was == now && was != "" && !bytes.Equal(before, after) {
		c.say("%s: its content changed", path)
	}
}

// fields compares two structs of one type.
func (c *comparison) fields(path string, a, b reflect.Value) {
	for _, f := range fieldsOf(a.Type()) {
		x, y := a.Field(f.index), b.Field(f.index)
		inner := join(path, f.name)
		if f.typ.Kind() != reflect.Struct {
			c.values(inner, f, x, y)
			continue
		}
		if x.IsNil() != y.IsNil() && needs(f.typ) {
			what := "new"
			if y.IsNil() {
				what = "gone"
			}
			c.say("%s is %s", inner, what)
			continue
		}
		c.fields(inner, pointed(x, f.typ), pointed(y, f.typ)) // without what is needed, none is the same as an empty one
	}
}

// values compares two values that are no structs.
func (c *comparison) values(path string, f *field, x, y reflect.Value) {
	if reflect.DeepEqual(x.Interface(), y.Interface()) || x.Kind() == reflect.Slice && x.Len() == 0 && y.Len() == 0 || x.Kind() == reflect.Map && x.Len() == 0 && y.Len() == 0 {
		return
	}
	if f.secret || c.was.fromVariable(path) || c.now.fromVariable(path) {
		c.say("%s changed", path)
		return
	}
	c.say("%s %s -> %s", path, c.shown(x), c.shown(y))
}

func (c *comparison) shown(v reflect.Value) string {
	if v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0 {
		return "unset"
	}
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	return c.show(v.Interface())
}

// needs tells a struct with a field that must be set.
func needs(t reflect.Type) bool {
	for _, f := range fieldsOf(t) {
		if f.required {
			return true
		}
	}
	return false
}

// pointed is what a pointer points to, or an empty one.
func pointed(v reflect.Value, t reflect.Type) reflect.Value {
	if v.IsNil() {
		return reflect.Zero(t)
	}
	return v.Elem()
}

// fromVariable tells a value, or a list of them, that a variable is part of.
func (f *File) fromVariable(path string) bool {
	for at := range f.variables {
		if at == path || strings.HasPrefix(at, path+"[") {
			return true
		}
	}
	return false
}
