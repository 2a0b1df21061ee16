package main

import "io"

// blockBytes is how much is read at a time, and blocks how many of it are on their way.
const (
	blockBytes = 256 << 10
	blockCount = 3
)

// source reads on a goroutine of its own, so that whoever takes the blocks can wait for other things too. A read that
// never returns (a terminal) holds nobody up: the goroutine ends with the process.
type source struct {
	blocks chan []byte // closed at the end; then err says how it ended
	free   chan []byte
	err    error
}

func newSource(r io.Reader) *source {
	s := &source{blocks: make(chan []byte), free: make(chan []byte, blockCount)}
	for range blockCount {
		s.free <- make([]byte, blockBytes)
	}
	go s.run(r)
	return s
}

func (s *source) run(r io.Reader) {
	defer close(s.blocks)
	for block := range s.free {
		n, err := r.Read(block[:cap(block)])
		if n > 0 {
			s.blocks <- block[:n]
		} else {
			s.free <- block
		}
		if err == io.EOF {
			return
		}
		if err != nil {
			s.err = err
			return
		}
	}
}

// done gives a block back.
func (s *source) done(block []byte) { s.free <- block }
