package workerfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxSize bounds a file, in bytes.
const maxSize = 1 << 20

// Source is a configuration's text, and where it finds what it refers to.
type Source struct {
	Name   string // for messages
	Dir    string // what relative paths are relative to
	Data   []byte
	Lookup func(name string) (value string, set bool) // variables
	Read   func(path string) ([]byte, error)          // files
	Checks []Check
}

// Check finds what else is wrong with a handler, for whoever runs it: its faults are told with the others. The handler may
// have faults already, and then lack values.
type Check func(f *File, h *Handler) []Fault

// Load reads a file with the process's environment. The error is Faults: all that is wrong.
func Load(path string, checks ...Check) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, unreadable(path, err)
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, unreadable(path, err)
	}
	return Parse(Source{Name: path, Dir: dir, Data: data, Lookup: os.LookupEnv, Read: readSmall, Checks: checks})
}

func unreadable(path string, err error) error {
	var cause *os.PathError
	if errors.As(err, &cause) {
		err = cause.Err
	}
	return Faults{{File: path, Text: fmt.Sprintf("cannot be read: %v", err)}}
}

// Parse reads a configuration. The error is Faults: all that is wrong.
func Parse(s Source) (*File, error) {
	f := &File{Name: s.Name, Dir: s.Dir, at: make(map[string]position), variables: make(map[string]bool)}
	body, fault := s.body()
	if fault != nil {
		fault.File = s.Name
		return nil, Faults{*fault}
	}
	d := &decoder{source: &s, file: f, anchors: make(map[string]ast.Node)}
	d.findAnchors(body)
	d.decodeStruct(body, "", nil, reflect.ValueOf(f).Elem())
	d.check()
	if len(d.faults) > 0 {
		return nil, d.faults.sorted()
	}
	return f, nil
}

// body is the one document of the text.
func (s *Source) body() (ast.Node, *Fault) {
	if len(s.Data) > maxSize {
		return nil, &Fault{Text: fmt.Sprintf("is larger than %d bytes: that is no worker.yaml", maxSize)}
	}
	text := bytes.TrimPrefix(s.Data, []byte("\xef\xbb\xbf")) // the mark that some editors put first
	if at := badByte(text); at >= 0 {
		p := locate(text, at)
		return nil, &Fault{Line: p.line, Column: p.column, Text: fmt.Sprintf("byte %#02x is not UTF-8 text without control characters; save the file as UTF-8", text[at])}
	}
	if at := tooDeep(text); at >= 0 {
		p := locate(text, at)
		return nil, &Fault{Line: p.line, Column: p.column, Text: fmt.Sprintf("is nested deeper than %d: that is no worker.yaml", maxDepth)}
	}
	parsed, err := parseYAML(text)
	if err != nil {
		return nil, syntaxFault(err, text)
	}
	var body ast.Node
	for _, doc := range parsed.Docs {
		if doc.Body == nil {
			continue
		}
		if body != nil {
			at := tokenPosition(doc.Body)
			return nil, &Fault{Line: at.line, Column: at.column, Text: "a second document begins; allowed: one a file, without ---"}
		}
		body = doc.Body
	}
	if body == nil {
		return nil, &Fault{Text: "is empty; the least it needs is handlers, such as: handlers: {\"demo.*\": {builtin: log}}"}
	}
	return body, nil
}

// badByte finds what is not text, -1 if all is.
func badByte(text []byte) int {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 || r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0x7f {
			return i
		}
		i += size
	}
	return -1
}

func locate(text []byte, at int) position {
	line := bytes.Count(text[:at], []byte("\n"))
	start := bytes.LastIndexByte(text[:at], '\n') + 1
	return position{line + 1, utf8.RuneCount(text[start:at]) + 1}
}

// parseYAML makes a panic of the library an error: what it chokes on is no configuration.
func parseYAML(text []byte) (file *ast.File, err error) {
	defer func() {
		if p := recover(); p != nil {
			file, err = nil, errors.New("it cannot be parsed as YAML")
		}
	}()
	return parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
}
