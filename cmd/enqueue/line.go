package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/queue"
)

// line is a job as a line of JSON describes it.
type line struct {
	raw     queue.Raw
	options []queue.Option
	seen    uint32 // bit i: fields[i] was there
}

// field is one member that a line may have.
type field struct {
	name string
	set  func(l *line, value []byte) error
}

var fields = []field{
	{"kind", func(l *line, v []byte) (err error) { l.raw.Name, err = text(v); return err }},
	{"args", func(l *line, v []byte) error { l.raw.Payload = v; return nil }},
	{"queue", option(text, queue.Queue)},
	{"id", option(text, queue.ID)},
	{"in", option(duration, queue.In)},
	{"at", option(instant, queue.At)},
	{"priority", option(whole, func(n int64) queue.Option { return queue.Priority(clamp(n)) })},
	{"max_attempts", option(whole, func(n int64) queue.Option { return queue.MaxAttempts(clamp(n)) })},
	{"timeout", option(duration, queue.Timeout)},
	{"deadline", option(instant, queue.Deadline)},
	{"expire_in", option(duration, queue.ExpireIn)},
	{"expire_at", option(instant, queue.ExpireAt)},
	{"retain", option(duration, queue.Retain)},
	{"meta", (*line).setMeta},
}

// rivals are fields of which a line may have one.
var rivals = [][2]string{{"in", "at"}, {"expire_in", "expire_at"}}

var fieldIndex = func() map[string]int {
	m := make(map[string]int, len(fields))
	for i, f := range fields {
		m[f.name] = i
	}
	return m
}()

// parser makes a job or a message of a line that is not blank. What it holds may be a part of the line.
type parser[T any] func(text []byte) (T, error)

// parseLine takes lines as they are.
func parseLine(b []byte) (queue.Item, error) {
	l, err := readLine(bytes.TrimSpace(b))
	return queue.Item{Args: l.raw, Options: l.options}, err
}

// parseWithContentID gives lines that bring no id of their own one that follows from their bytes: the same line is the
// same job, however often it is sent. (Version 8 of RFC 9562: 122 bits of SHA-256.)
func parseWithContentID(b []byte) (queue.Item, error) {
	b = bytes.TrimSpace(b)
	l, err := readLine(b)
	if err == nil && !l.has("id") {
		sum := sha256.Sum256(b)
		id := uuid.UUID(sum[:16])
		id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80
		l.options = append(l.options, queue.ID(id.String()))
	}
	return queue.Item{Args: l.raw, Options: l.options}, err
}

// readLine reads a line without space around it.
func readLine(b []byte) (line, error) {
	if err := checkJSON(b); err != nil {
		return line{}, err
	}
	if b[0] != '{' {
		return line{}, fmt.Errorf(`want an object such as {"kind":"log"}, got %s`, typeOf(b))
	}
	l := line{raw: queue.Raw{Payload: []byte(noArgs)}}
	if err := eachMember(b, l.member); err != nil {
		return line{}, err
	}
	if l.raw.Name == "" && !l.has("kind") {
		return line{}, errors.New(`"kind" is missing`)
	}
	for _, pair := range rivals {
		if l.has(pair[0]) && l.has(pair[1]) {
			return line{}, fmt.Errorf("give %q or %q, not both", pair[0], pair[1])
		}
	}
	return l, nil
}

func (l *line) has(name string) bool { return l.seen&(1<<fieldIndex[name]) != 0 }

// member takes one field of the line.
func (l *line) member(name, value []byte) error {
	i, known := fieldIndex[string(name)]
	if !known {
		return unknown(string(name))
	}
	if l.seen&(1<<i) != 0 {
		return fmt.Errorf("%q is given twice", name)
	}
	f := &fields[i]
	if f.name != "args" && string(value) == "null" {
		return nil
	}
	l.seen |= 1 << i
	if err := f.set(l, value); err != nil {
		return fmt.Errorf("%q: %w", f.name, err)
	}
	return nil
}

// unknown refuses a field: an option that is misspelt must not be ignored.
func unknown(name string) error {
	names := make([]string, len(fields))
	for i := range fields {
		names[i] = fields[i].name
	}
	if near := cli.Nearest(name, names); near != "" {
		return fmt.Errorf("unknown field %.100q, did you mean %q?", name, near)
	}
	return fmt.Errorf(`unknown field %.100q; what the job is about belongs into "args"`, name)
}

// option makes a field's setter of a reader of its value and an option of the queue.
func option[T any](read func([]byte) (T, error), make func(T) queue.Option) func(*line, []byte) error {
	return func(l *line, value []byte) error {
		v, err := read(value)
		if err == nil {
			l.options = append(l.options, make(v))
		}
		return err
	}
}

func (l *line) setMeta(value []byte) error {
	if value[0] != '{' {
		return fmt.Errorf("want an object of texts, got %s", typeOf(value))
	}
	return eachMember(value, func(name, value []byte) error {
		word, err := text(value)
		if err != nil {
			return fmt.Errorf("%.100q: %w", name, err)
		}
		l.options = append(l.options, queue.Meta(string(name), word))
		return nil
	})
}

func text(value []byte) (string, error) {
	if value[0] != '"' {
		return "", fmt.Errorf("want a text, got %s", typeOf(value))
	}
	return string(unquote(value)), nil
}

func whole(value []byte) (int64, error) {
	if kind := typeOf(value); kind != "a number" {
		return 0, fmt.Errorf("want a whole number, got %s", kind)
	}
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("want a whole number, got %.40s", value)
	}
	return n, nil
}

// clamp keeps a number that is out of every option's range out of it where int has 32 bits.
func clamp(n int64) int { return int(max(min(n, 1<<31-1), -1<<31)) }

func duration(value []byte) (time.Duration, error) {
	if value[0] == '"' {
		return parseDuration(string(unquote(value)))
	}
	if kind := typeOf(value); kind != "a number" {
		return 0, fmt.Errorf(`want a duration such as "90s" or a number of ms, got %s`, kind)
	}
	n, err := whole(value)
	if err != nil {
		return 0, fmt.Errorf("%w; as a number it counts ms", err)
	}
	return milliseconds(n)
}

func instant(value []byte) (time.Time, error) {
	if value[0] == '"' {
		return parseTime(string(unquote(value)))
	}
	if kind := typeOf(value); kind != "a number" {
		return time.Time{}, fmt.Errorf("want %s, got %s", timeForms, kind)
	}
	return parseTime(string(value))
}

// typeOf names the type of a valid JSON value.
func typeOf(value []byte) string {
	switch value[0] {
	case '"':
		return "a text"
	case '{':
		return "an object"
	case '[':
		return "an array"
	case 't', 'f':
		return "a truth value"
	case 'n':
		return "null"
	}
	return "a number"
}
