package execjob

import (
	"bytes"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/rs/zerolog"
)

const (
	maxLine = 8 << 10   // bytes of a line that are logged
	maxTail = 4 << 10   // bytes of the end that are kept for the attempt's record
	maxLast = 256       // bytes of the last line in the error's text
	perLine = 128       // what a line costs beside its bytes
	burst   = 128 << 10 // cost that may be logged at once
	perSec  = 64 << 10  // cost that may be logged each second in the long run
)

// lines logs a command's stderr line by line, and keeps its end. A command that floods it is logged in part: it is neither
// slowed down nor remembered.
type lines struct {
	log *zerolog.Logger

	mu      sync.Mutex // the reader may be left behind: see streams
	end     []byte     // at least the last maxTail bytes
	line    []byte     // the current line
	cut     bool       // it was longer
	final   string     // the last line that was not empty
	budget  float64
	at      time.Time // of the budget
	dropped int       // lines since the last that was logged
	over    bool
}

func newLines(log *zerolog.Logger) *lines { return &lines{log: log, budget: burst, at: time.Now()} }

// Write takes everything.
func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return len(b), nil
	}
	l.keep(b)
	n := len(b)
	for {
		part, rest, whole := bytes.Cut(b, []byte{'\n'})
		if room := maxLine - len(l.line); len(part) > room {
			part, l.cut = part[:room], true
		}
		l.line = append(l.line, part...)
		if !whole {
			return n, nil
		}
		l.tell()
		b = rest
	}
}

func (l *lines) keep(b []byte) {
	if len(b) >= maxTail {
		l.end = append(l.end[:0], b[len(b)-maxTail:]...)
		return
	}
	l.end = append(l.end, b...)
	if len(l.end) > 4*maxTail {
		l.end = append(l.end[:0], l.end[len(l.end)-maxTail:]...)
	}
}

// tell logs the current line, if the budget allows it.
func (l *lines) tell() {
	text := printable(bytes.TrimRight(l.line, "\r"))
	if l.cut {
		text += "... (cut)"
	}
	l.line, l.cut = l.line[:0], false
	if strings.TrimSpace(text) == "" {
		return
	}
	l.final = text
	now := time.Now()
	l.budget = min(burst, l.budget+now.Sub(l.at).Seconds()*perSec)
	l.at = now
	cost := float64(perLine + len(text))
	if l.budget < cost {
		l.dropped++
		return
	}
	l.budget -= cost
	l.report()
	l.log.Info().Str("stream", "stderr").Msg(text)
}

// report says what was not logged.
func (l *lines) report() {
	if l.dropped > 0 {
		l.log.Warn().Int("lines", l.dropped).Msg("the command wrote more to stderr than is logged")
		l.dropped = 0
	}
}

// finish logs a last line without an end; what still comes is not heard.
func (l *lines) finish() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	if len(l.line) > 0 {
		l.tell()
	}
	l.report()
}

// last is the last line that was not empty, shortened.
func (l *lines) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := strings.TrimSpace(l.final)
	if len(text) <= maxLast {
		return text
	}
	return strings.ToValidUTF8(text[:maxLast], "") + "..."
}

// tail is the end of it all: maxTail bytes at most, no half character at its beginning.
func (l *lines) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	end := l.end[max(0, len(l.end)-maxTail):]
	for len(l.end) > maxTail && len(end) > 0 && !utf8.RuneStart(end[0]) {
		end = end[1:]
	}
	return strings.ToValidUTF8(string(end), string(utf8.RuneError))
}

// printable makes text of a line: what would move a terminal's cursor is replaced.
func printable(b []byte) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\t' {
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(string(b), string(utf8.RuneError)))
}
