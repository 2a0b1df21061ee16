package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
)

// printBytes is how much of a file is looked at to tell it from others: so much of its beginning, and so much before the
// place that was reached.
const printBytes = 4 << 10

// fingerprint tells whether a file still is the one of which a part was sent. What is behind that part may change.
type fingerprint struct {
	HeadBytes int64  `json:"head_bytes"`
	Head      string `json:"head_sha256"`
	TailBytes int64  `json:"tail_bytes"`
	Tail      string `json:"tail_sha256"`
}

// take makes the print of a file of which the part before at was sent.
func (p *fingerprint) take(f *os.File, at int64) (err error) {
	p.HeadBytes = min(at, printBytes)
	if p.Head, err = digest(f, 0, p.HeadBytes); err != nil {
		return err
	}
	p.TailBytes = p.HeadBytes
	p.Tail, err = digest(f, at-p.TailBytes, p.TailBytes)
	return err
}

// check says in what the file differs.
func (p *fingerprint) check(f *os.File, at int64) error {
	size, err := sizeOf(f)
	if err != nil {
		return err
	}
	if size < at {
		return fmt.Errorf("it has %d bytes, and %d were sent", size, at)
	}
	head, err := digest(f, 0, p.HeadBytes)
	if err != nil {
		return err
	}
	tail, err := digest(f, at-p.TailBytes, p.TailBytes)
	if err != nil {
		return err
	}
	switch {
	case head != p.Head:
		return errors.New("it begins differently")
	case tail != p.Tail:
		return errors.New("what was sent last reads differently")
	}
	return nil
}

func digest(f *os.File, at, n int64) (string, error) {
	if n < 0 || n > printBytes || at < 0 {
		return "", errors.New("its print is none")
	}
	hash := sha256.New()
	if copied, err := io.Copy(hash, io.NewSectionReader(f, at, n)); err != nil || copied != n {
		return "", errors.Join(err, fmt.Errorf("%d of %d bytes could be read", copied, n))
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// lineRest answers how many bytes from a place on still belong to the line before it: that line's end, where the file
// ended without one when the line was sent. Its error says that the line went on otherwise.
func lineRest(f *os.File, at int64) (int64, error) {
	if at == 0 {
		return 0, nil
	}
	around := make([]byte, 3) // the byte before, and a line end
	n, err := f.ReadAt(around, at-1)
	if err != nil && !errors.Is(err, io.EOF) || n == 0 {
		return 0, err
	}
	switch around = around[:n]; {
	case around[0] == '\n' || n == 1:
		return 0, nil
	case around[1] == '\n':
		return 1, nil
	case n == 3 && around[1] == '\r' && around[2] == '\n':
		return 2, nil
	}
	return 0, errors.New("it goes on")
}

// findLine answers where a line begins; behind the last line, where the file ends.
func findLine(f *os.File, line int) (place, error) {
	at := place{line: 1}
	block := make([]byte, blockBytes)
	for at.line < line {
		n, err := f.ReadAt(block, at.offset)
		if n == 0 {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return at, err
		}
		rest := block[:n]
		for at.line < line {
			end := bytes.IndexByte(rest, '\n') + 1
			if end == 0 {
				at.offset += int64(len(rest))
				break
			}
			at.line++
			at.offset += int64(end)
			rest = rest[end:]
		}
	}
	return at, nil
}
