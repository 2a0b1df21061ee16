package workerfile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// position is a place in the file, counted from 1; zero = the file as a whole.
type position struct{ line, column int }

// Fault is one thing that is wrong.
type Fault struct {
	File         string
	Line, Column int    // from 1, in characters; 0 = the file as a whole
	Field        string // such as handlers."image.*".exec.timeout; empty = none
	Text         string // what was given and what is allowed
}

// Error is "worker.yaml:12:5: field: text".
func (f Fault) Error() string {
	var b strings.Builder
	b.WriteString(f.File)
	if f.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", f.Line, f.Column)
	}
	b.WriteString(": ")
	if f.Field != "" {
		b.WriteString(f.Field + ": ")
	}
	b.WriteString(f.Text)
	return b.String()
}

// Faults is all that is wrong with a file, in its order; never empty.
type Faults []Fault

// maxFaults is how many are told.
const maxFaults = 50

// Error is a line for each.
func (f Faults) Error() string {
	var b strings.Builder
	for i, fault := range f {
		if i == maxFaults {
			fmt.Fprintf(&b, "\n%s: and %d more", fault.File, len(f)-i)
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(fault.Error())
	}
	return b.String()
}

// sorted puts the faults into the order of the file.
func (f Faults) sorted() Faults {
	slices.SortStableFunc(f, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return f
}

// Fault is a fault of a value, found by whoever uses it. A value that is not in the file is placed at what would hold it.
func (f *File) Fault(field, text string) Fault {
	fault := Fault{File: f.Name, Field: field, Text: text}
	at, found := f.at[field]
	for rest := field; !found && rest != ""; {
		rest = parent(rest)
		at, found = f.at[rest]
	}
	fault.Line, fault.Column = at.line, at.column
	return fault
}

// Faults is what Fault makes, as one error; nil for none.
func (f *File) Faults(list []Fault) error {
	if len(list) == 0 {
		return nil
	}
	return Faults(list).sorted()
}

// Has tells whether the file sets a field.
func (f *File) Has(field string) bool {
	_, found := f.at[field]
	return found
}

// Line is where the file sets a field, 0 where it does not.
func (f *File) Line(field string) int { return f.at[field].line }

// offset orders fields as they stand in the file.
func (f *File) offset(field string) int { return f.at[field].line<<20 + f.at[field].column }

// Field is the path of a field by the keys that lead to it, as faults name it.
func Field(keys ...string) string {
	path := ""
	for _, key := range keys {
		path = join(path, key)
	}
	return path
}

func join(path, key string) string {
	plain := key != "" && strings.IndexFunc(key, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-')
	}) < 0
	if !plain {
		key = fmt.Sprintf("%q", key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// parent is the path of what holds a field.
func parent(path string) string {
	if strings.HasSuffix(path, "]") {
		return path[:strings.LastIndex(path, "[")]
	}
	if strings.HasSuffix(path, `"`) { // a quoted key, which may hold dots
		for i := len(path) - 2; i >= 0; i-- {
			if path[i] == '"' && (i == 0 || path[i-1] == '.') && !strings.HasSuffix(path[:i], `\`) {
				return strings.TrimSuffix(path[:i], ".")
			}
		}
	}
	return path[:max(strings.LastIndex(path, "."), 0)]
}
