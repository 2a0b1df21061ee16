package main

import (
	"bytes"
	"fmt"

	"github.com/tidemill/tidemill/queue"
)

// A batch is full at either of these. It bounds memory: two batches are alive at a time.
const (
	batchLines = 4000
	batchBytes = 4 << 20
)

// batch is lines that are sent together.
type batch struct {
	text    []byte // all lines, one behind the other; items point into it
	entries []entry
	items   []queue.Item
	last    int // number of the last line taken, blank ones included
	size    int // of what was taken from the input
}

// entry is one line of a batch.
type entry struct {
	number     int
	start, end int    // its place in text
	item       int    // its place in items; -1 when it is rejected already
	reason     string // why it is rejected
}

func newBatch() *batch {
	return &batch{text: make([]byte, 0, batchBytes), entries: make([]entry, 0, batchLines), items: make([]queue.Item, 0, batchLines)}
}

// fits tells whether a line can be added. An empty batch takes any.
func (b *batch) fits(text []byte) bool {
	return len(b.entries) == 0 || len(b.entries) < batchLines && len(b.text)+len(text) <= cap(b.text)
}

// add takes a line, parsed. Blank ones only count.
func (b *batch) add(number int, text []byte, long bool, size int) {
	b.last, b.size = number, b.size+size
	if !long && len(bytes.TrimSpace(text)) == 0 {
		return
	}
	if len(b.entries) == 0 && len(text) > cap(b.text) {
		b.text = make([]byte, 0, len(text))
	}
	e := entry{number: number, start: len(b.text), item: -1}
	b.text = append(b.text, text...)
	e.end = len(b.text)
	if long {
		e.reason = fmt.Sprintf("longer than %d bytes", maxInput)
	} else if item, err := parseLine(b.text[e.start:e.end:e.end]); err != nil {
		e.reason = err.Error()
	} else {
		e.item = len(b.items)
		b.items = append(b.items, item)
	}
	b.entries = append(b.entries, e)
}

// reset empties it for the next use.
func (b *batch) reset() {
	if cap(b.text) > batchBytes {
		b.text = make([]byte, 0, batchBytes)
	}
	clear(b.items) // the args of a big line must not stay alive
	b.text, b.entries, b.items = b.text[:0], b.entries[:0], b.items[:0]
	b.last, b.size = 0, 0
}
