package wire

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"
)

// State is the mutable record of a job: only jobs that failed, crashed, moved or are kept have one.
type State struct {
	Flags      uint8  // Suspect, Cancelled, Crashed, Expired
	Generation uint8  // which of the job's list entries is the live one
	Ghosts     uint8  // stale list entries still to be popped
	Crashes    uint8  // sessions lost while the job ran
	Attempts   uint16 // attempts used

	Errors     []Failure // oldest first
	UnknownAt  int64     // ms: first seen by a worker that does not know the kind
	Snoozes    int
	StartedAt  int64 // ms: last start, for finished jobs
	FinishedAt int64 // ms
	DueAt      int64 // ms: when it was to be ready again, 0 where it ended
}

// Flags of a state record.
const (
	Suspect   = 1 << iota // waits in the suspect list
	Cancelled             // ended by cancel
	Crashed               // dead because it crashed its workers
	Expired               // not started in time
)

// Failure is one failed attempt.
type Failure struct {
	Attempt int
	At      int64 // ms
	Error   string
	Stack   string // where it panicked
	Output  string // the end of what it printed
}

// Caps of the error history, so that a job that fails for ever stays small.
const (
	MaxFailures   = 10
	maxErrorText  = 1024
	maxStackText  = 4096
	maxOutput     = 4096
	briefText     = 200
	stateHead     = 7
	fieldBrief    = 6
	fieldErrors   = 1
	fieldUnknown  = 2
	fieldSnoozes  = 3
	fieldStarted  = 4
	fieldFinished = 5
	fieldDue      = 7
)

// AddFailure appends to the history and drops the oldest beyond MaxFailures; only the newest keeps its stack and its
// output.
func (s *State) AddFailure(f Failure) {
	for i := range s.Errors {
		s.Errors[i].Stack, s.Errors[i].Output = "", ""
	}
	s.Errors = append(s.Errors, f)
	if extra := len(s.Errors) - MaxFailures; extra > 0 {
		s.Errors = s.Errors[extra:]
	}
}

// Append writes the record behind dst. The first brief bytes are a whole record too, with the last error cut short
// and no history: what a full Redis keeps.
func (s *State) Append(dst []byte) (record []byte, brief int) {
	start := len(dst)
	dst = append(dst, Version, s.Flags, s.Generation, s.Ghosts, s.Crashes)
	dst = binary.BigEndian.AppendUint16(dst, s.Attempts)
	dst = appendNumber(dst, fieldUnknown, s.UnknownAt)
	dst = appendNumber(dst, fieldSnoozes, int64(s.Snoozes))
	dst = appendNumber(dst, fieldStarted, s.StartedAt)
	dst = appendNumber(dst, fieldFinished, s.FinishedAt)
	dst = appendNumber(dst, fieldDue, s.DueAt)
	n := len(s.Errors)
	if n == 0 {
		return dst, len(dst) - start
	}
	last := s.Errors[n-1]
	short := Failure{Attempt: last.Attempt, At: last.At, Error: clip(last.Error, briefText)}
	dst = appendMessage(dst, fieldBrief, short.append(nil))
	brief = len(dst) - start
	for i := range s.Errors {
		dst = appendMessage(dst, fieldErrors, s.Errors[i].append(nil))
	}
	return dst, brief
}

func (f Failure) append(dst []byte) []byte {
	dst = appendNumber(dst, 1, int64(f.Attempt))
	dst = appendNumber(dst, 2, f.At)
	dst = appendText(dst, 3, clip(f.Error, maxErrorText))
	dst = appendText(dst, 4, clip(f.Stack, maxStackText))
	return appendText(dst, 5, Tail(f.Output, maxOutput))
}

// Decode reads a record; an empty one is the zero State.
func (s *State) Decode(b []byte) error {
	*s = State{}
	if len(b) == 0 {
		return nil
	}
	if b[0] > Version {
		return fmt.Errorf("%w: state version %d and this program reads up to %d; upgrade the worker", ErrNewer, b[0], Version)
	}
	if b[0] == 0 || len(b) < stateHead {
		return fmt.Errorf("%w: state record of %d bytes", ErrCorrupt, len(b))
	}
	s.Flags, s.Generation, s.Ghosts, s.Crashes = b[1], b[2], b[3], b[4]
	s.Attempts = binary.BigEndian.Uint16(b[5:])
	var brief *Failure
	r := reader{b: b[stateHead:]}
	for r.next() {
		switch r.field {
		case fieldErrors, fieldBrief:
			f, err := decodeFailure(r.bytes)
			if err != nil {
				return err
			}
			if r.field == fieldBrief {
				brief = &f
				continue
			}
			s.Errors = append(s.Errors, f)
		case fieldUnknown:
			s.UnknownAt = r.number
		case fieldSnoozes:
			s.Snoozes = int(r.number)
		case fieldStarted:
			s.StartedAt = r.number
		case fieldFinished:
			s.FinishedAt = r.number
		case fieldDue:
			s.DueAt = r.number
		}
	}
	if len(s.Errors) == 0 && brief != nil {
		s.Errors = append(s.Errors, *brief)
	}
	return r.err
}

func decodeFailure(b []byte) (f Failure, err error) {
	r := reader{b: b}
	for r.next() {
		switch r.field {
		case 1:
			f.Attempt = int(r.number)
		case 2:
			f.At = r.number
		case 3:
			f.Error = r.text()
		case 4:
			f.Stack = r.text()
		case 5:
			f.Output = r.text()
		}
	}
	return f, r.err
}

// ErrorText is an error's text as a record keeps it: at most 1 KiB of valid UTF-8.
func ErrorText(s string) string { return clip(s, maxErrorText) }

// clip cuts s to at most n bytes at a rune's border and makes it valid UTF-8, as it is shown to people.
func clip(s string, n int) string {
	// The replacement may be longer than what it replaces, so the result is cut once more.
	return cut(strings.ToValidUTF8(cut(s, n), "\uFFFD"), n)
}

func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// Tail is the last n bytes of s at most, from a rune's start on and as valid UTF-8.
func Tail(s string, n int) string {
	s = strings.ToValidUTF8(last(s, n), "\uFFFD")
	return last(s, n) // the replacement may be longer than what it replaces
}

func last(s string, n int) string {
	if len(s) <= n {
		return s
	}
	start := len(s) - n
	for start < len(s) && !utf8.RuneStart(s[start]) {
		start++
	}
	return s[start:]
}
