package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// effects is the work done: a line a job in a file, "key payload". It stands for your database, and as there the key is
// stored together with the work, so that one is never there without the other.
type effects struct {
	mu   sync.Mutex
	file *os.File
	seen map[string]bool
}

// openEffects goes on with a file of a former run.
func openEffects(path string) (*effects, error) {
	// O_APPEND: each line is one write, so a crash leaves whole lines only.
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	e := &effects{file: file, seen: make(map[string]bool)}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 2*maxBody)
	for lines.Scan() {
		key, _, _ := strings.Cut(lines.Text(), " ")
		e.seen[key] = true
	}
	if err := lines.Err(); err != nil {
		file.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return e, nil
}

// once does the work of a key unless that was done, and tells which.
func (e *effects) once(key, payload string) (first bool, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.seen[key] {
		return false, nil
	}
	if _, err := fmt.Fprintf(e.file, "%s %s\n", key, payload); err != nil {
		return false, err
	}
	e.seen[key] = true
	return true, nil
}

// Close closes the file.
func (e *effects) Close() error { return e.file.Close() }

// bucket lets a number of requests through a second, as many at once.
type bucket struct {
	mu   sync.Mutex
	rate float64
	left float64
	at   time.Time
}

func newBucket(rate int) *bucket {
	return &bucket{rate: float64(rate), left: float64(rate), at: time.Now()}
}

// take tells whether one more may pass now.
func (b *bucket) take(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left = min(b.left+now.Sub(b.at).Seconds()*b.rate, b.rate)
	b.at = now
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}
