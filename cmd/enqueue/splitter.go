package main

import "bytes"

// keptOfLong is how much of a line beyond maxInput is kept, for the rejects.
const keptOfLong = 4 << 10

// mark is what some editors put before UTF-8 text.
var mark = []byte("\xef\xbb\xbf")

// splitter makes lines of blocks. It keeps no more of a line than the limit.
type splitter struct {
	from  int // lines before this one are counted and dropped
	limit int
	// emit takes a line without its end; long says that it is the beginning of one beyond the limit. The text is valid
	// until emit returns. from and to are the line's place in the input, in bytes, its end included.
	emit func(number int, text []byte, long bool, from, to int64) error

	number int    // of the line before the current one
	at     int64  // where the current line begins in the input
	part   []byte // the current line as far as it is known
	size   int    // of the current line so far
	long   bool
}

// feed takes a block. It returns the first error of emit.
func (s *splitter) feed(block []byte) error {
	for len(block) > 0 {
		end := bytes.IndexByte(block, '\n')
		if end < 0 {
			s.size += len(block)
			s.keep(block)
			return nil
		}
		s.size += end + 1
		text := block[:end]
		block = block[end+1:]
		if len(s.part) > 0 || s.long || end > s.limit {
			s.keep(text)
			text = s.part
		}
		if err := s.end(text); err != nil {
			return err
		}
	}
	return nil
}

// finish ends the input: its last line may lack the end.
func (s *splitter) finish() error {
	if s.size == 0 {
		return nil
	}
	return s.end(s.part)
}

// keep adds to the current line, or forgets most of it once it is too long.
func (s *splitter) keep(text []byte) {
	if s.number+1 < s.from {
		return
	}
	if s.long || len(s.part)+len(text) > s.limit {
		s.part = append(s.part, text[:min(len(text), max(0, keptOfLong-len(s.part)))]...)
		s.part = bytes.Clone(s.part[:min(len(s.part), keptOfLong)]) // gives the memory back
		s.long = true
		return
	}
	s.part = append(s.part, text...)
}

func (s *splitter) end(text []byte) error {
	s.number++
	long, size := s.long, s.size
	if s.number == 1 {
		text = bytes.TrimPrefix(text, mark)
	}
	var err error
	if s.number >= s.from {
		err = s.emit(s.number, text, long, s.at, s.at+int64(size))
	}
	s.at += int64(size)
	if s.part = s.part[:0]; cap(s.part) > batchBytes {
		s.part = nil
	}
	s.size, s.long = 0, false
	return err
}
