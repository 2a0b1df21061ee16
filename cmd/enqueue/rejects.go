package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"
)

// firstReasons is how many reasons are printed where no rejects file was asked for.
const firstReasons = 10

// rejects is where lines go that were not accepted: a file, or the first few reasons to people.
type rejects struct {
	file    *bufio.Writer // nil: print
	encoder *json.Encoder
	people  io.Writer // nil: silence
	before  func()    // called before printing: takes the progress bar away
	printed int
	hidden  int
	pending int // the first line that is buffered, 0 when none is
}

// rejectsError ends a stream because its rejects cannot be written: those from a line on may be missing.
type rejectsError struct {
	err  error
	from int
}

func (e *rejectsError) Error() string {
	if e.from == 0 {
		return fmt.Sprintf("writing rejects: %v", e.err)
	}
	return fmt.Sprintf("writing rejects: %v; those from line %d on may be missing", e.err, e.from)
}

func (e *rejectsError) Unwrap() error { return e.err }

// rejected is a line of the rejects file.
type rejected struct {
	Line       int     `json:"line"`
	Reason     string  `json:"reason"`
	Text       *string `json:"text,omitempty"`
	TextBase64 []byte  `json:"text_base64,omitempty"`
}

func newRejects(file, people io.Writer, before func()) *rejects {
	r := &rejects{people: people, before: before}
	if file != nil {
		r.file = bufio.NewWriter(file)
		r.encoder = json.NewEncoder(r.file)
		r.encoder.SetEscapeHTML(false)
	}
	return r
}

// add takes a line that was rejected. That it cannot be written is flush's to say, as the lines behind it in the batch
// are in Redis by now and have to be booked.
func (r *rejects) add(number int, reason string, text []byte) {
	if r.file != nil {
		out := rejected{Line: number, Reason: reason}
		if utf8.Valid(text) {
			s := string(text)
			out.Text = &s
		} else {
			out.TextBase64 = text
		}
		if r.pending == 0 {
			r.pending = number
		}
		_ = r.encoder.Encode(out) // the writer remembers its error
		return
	}
	if r.printed == firstReasons || r.people == nil {
		r.hidden++
		return
	}
	r.printed++
	r.before()
	// That people cannot be told is no reason to stop.
	_, _ = fmt.Fprintf(r.people, "line %d: %s\n", number, reason)
}

// flush writes what is buffered. Its error is a *rejectsError.
func (r *rejects) flush() error {
	if r.file == nil {
		return nil
	}
	if err := r.file.Flush(); err != nil {
		return &rejectsError{err, r.pending}
	}
	r.pending = 0
	return nil
}

// end tells people how many reasons they were not told.
func (r *rejects) end() {
	if r.file == nil && r.people != nil && r.hidden > 0 {
		_, _ = fmt.Fprintf(r.people, "... and %d more\n", r.hidden)
	}
}
