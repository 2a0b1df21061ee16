package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/pubsub"
)

// messageTime is how times of messages are printed: RFC 3339 to the µs.
const messageTime = "2006-01-02T15:04:05.000000Z07:00"

// messageLines prints messages and gaps, a line each, each with one write.
type messageLines struct {
	w      io.Writer
	full   bool // with metadata, position and attempt
	line   []byte
	topic  string // the last one
	quoted []byte // the same in JSON
}

func newMessageLines(w io.Writer, full bool) *messageLines {
	return &messageLines{w: w, full: full, quoted: []byte(`""`)}
}

// message prints one.
func (l *messageLines) message(m *pubsub.Message[pubsub.Raw]) error {
	if m.Topic != l.topic {
		l.topic, l.quoted = m.Topic, quotedJSON(m.Topic)
	}
	b := append(l.line[:0], `{"topic":`...)
	b = append(b, l.quoted...)
	b = append(b, `,"id":"`...)
	if m.ID != uuid.Nil {
		b = append(b, m.ID.String()...)
	}
	b = append(b, `","time":"`...)
	b = appendTime(b, m.Time)
	b = append(b, '"', ',')
	b = appendData(b, m.Data)
	if l.full {
		b = appendRest(b, m)
	}
	return l.write(b)
}

// appendRest adds what only --full prints.
func appendRest(b []byte, m *pubsub.Message[pubsub.Raw]) []byte {
	if len(m.Meta) > 0 {
		b = append(append(b, `,"meta":`...), quotedJSON(m.Meta)...)
	}
	if m.Position == "" {
		return b
	}
	b = append(append(append(b, `,"position":"`...), m.Position...), '"')
	if m.Attempt > 0 {
		b = strconv.AppendInt(append(b, `,"attempt":`...), int64(m.Attempt), 10)
	}
	return b
}

// gap prints one. How many messages were missed, where that is known, is a part of the reason.
func (l *messageLines) gap(g *pubsub.Gap) error {
	reason := g.Reason
	if g.Missed > 0 {
		reason = fmt.Sprintf("%s: %s dropped", reason, amount(int64(g.Missed), "message"))
	}
	b := append(l.line[:0], `{"gap":{"from":"`...)
	b = append(appendTime(b, g.From), `","to":"`...)
	b = append(appendTime(b, g.To), `","reason":`...)
	b = append(append(b, quotedJSON(reason)...), '}')
	return l.write(b)
}

// write ends the line and writes it.
func (l *messageLines) write(b []byte) error {
	b = append(b, '}', '\n')
	if l.line = b; cap(b) > 1<<20 {
		l.line = nil // a big message's memory is given back
	}
	_, err := l.w.Write(b)
	return err
}

// appendTime adds a time; nothing for the zero one.
func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return b
	}
	return t.UTC().AppendFormat(b, messageTime)
}

// appendData adds what a message says: JSON as it was sent, other text as a string, other bytes in base64.
func appendData(b, data []byte) []byte {
	switch {
	case !utf8.Valid(data):
		b = append(b, `"data_base64":"`...)
		return append(base64.StdEncoding.AppendEncode(b, data), '"')
	case !json.Valid(data):
		return append(append(b, `"data":`...), quotedJSON(string(data))...)
	}
	b = append(b, `"data":`...)
	at := len(b)
	b = append(b, data...)
	if bytes.IndexByte(data, '\n') < 0 && bytes.IndexByte(data, '\r') < 0 {
		return b
	}
	// Within JSON's strings there are none: they stand between its parts.
	for i := at; i < len(b); i++ {
		if b[i] == '\n' || b[i] == '\r' {
			b[i] = ' '
		}
	}
	return b
}

// quotedJSON is a text or a map of texts in JSON, with nothing escaped that need not be.
func quotedJSON(v any) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(v) // texts can be encoded
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}
