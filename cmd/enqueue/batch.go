package main

import (
	"bytes"
	"fmt"
)

// A batch is full at either of these. It bounds memory: two batches are alive at a time.
const (
	batchLines = 4000
	batchBytes = 4 << 20
)

// batch is lines that are sent together, each as an item: a job or a message.
type batch[T any] struct {
	text    []byte // all lines, one behind the other; items point into it
	entries []entry
	items   []T
	places  []uint64 // of the items: the numbers of their lines
	last    int      // number of the last line taken, blank ones included
	size    int      // of what was taken from the input
	to      int64    // where that ended
	passed  int      // lines that a run before rejected
}

// entry is one line of a batch.
type entry struct {
	number     int
	from, to   int64  // its place in the input
	start, end int    // its place in text
	item       int    // its place in items; -1 when it is rejected already
	reason     string // why it is rejected
}

func newBatch[T any]() *batch[T] {
	return &batch[T]{text: make([]byte, 0, batchBytes), entries: make([]entry, 0, batchLines), items: make([]T, 0, batchLines),
		places: make([]uint64, 0, batchLines)}
}

// fits tells whether a line can be added. An empty batch takes any.
func (b *batch[T]) fits(text []byte) bool {
	return len(b.entries) == 0 || len(b.entries) < batchLines && len(b.text)+len(text) <= cap(b.text)
}

// pass counts a line that asks for nothing.
func (b *batch[T]) pass(number int, from, to int64) {
	b.last, b.size, b.to = number, b.size+int(to-from), to
}

// add takes a line, parsed by the reader. Blank ones only count.
func (b *batch[T]) add(parse parser[T], number int, text []byte, long bool, from, to int64) {
	b.pass(number, from, to)
	if !long && len(bytes.TrimSpace(text)) == 0 {
		return
	}
	if len(b.entries) == 0 && len(text) > cap(b.text) {
		b.text = make([]byte, 0, len(text))
	}
	e := entry{number: number, from: from, to: to, start: len(b.text), item: -1}
	b.text = append(b.text, text...)
	e.end = len(b.text)
	if long {
		e.reason = fmt.Sprintf("longer than %d bytes", maxInput)
	} else if item, err := parse(b.text[e.start:e.end:e.end]); err != nil {
		e.reason = err.Error()
	} else {
		e.item = len(b.items)
		b.items, b.places = append(b.items, item), append(b.places, uint64(number))
	}
	b.entries = append(b.entries, e)
}

// reset empties it for the next use.
func (b *batch[T]) reset() {
	if cap(b.text) > batchBytes {
		b.text = make([]byte, 0, batchBytes)
	}
	clear(b.items) // what is in a big line must not stay alive
	b.text, b.entries, b.items, b.places = b.text[:0], b.entries[:0], b.items[:0], b.places[:0]
	b.last, b.size, b.to, b.passed = 0, 0, 0, 0
}
