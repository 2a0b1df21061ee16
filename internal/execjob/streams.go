package execjob

import (
	"errors"
	"io"
	"os"
	"sync"
)

// streams are the pipes of one attempt.
type streams struct {
	in, out, err                end // ours
	theirIn, theirOut, theirErr *os.File
	toOut, toErr                io.Writer

	inFile, outFile, errFile *os.File      // ours, once they are served
	read                     chan struct{} // one for each stream read to its end
	writer                   sync.WaitGroup
}

func openStreams(out, err io.Writer) (*streams, error) {
	s := &streams{toOut: out, toErr: err, in: none, out: none, err: none}
	var e1, e2, e3 error
	s.in, s.theirIn, e1 = pipe(false)
	s.out, s.theirOut, e2 = pipe(true)
	s.err, s.theirErr, e3 = pipe(true)
	if e := errors.Join(e1, e2, e3); e != nil {
		s.handOver()
		s.close()
		return nil, e
	}
	return s, nil
}

func (s *streams) theirs() (in, out, err *os.File) { return s.theirIn, s.theirOut, s.theirErr }

// handOver closes our copies of the command's ends.
func (s *streams) handOver() {
	for _, f := range []*os.File{s.theirIn, s.theirOut, s.theirErr} {
		if f != nil {
			f.Close()
		}
	}
}

func (s *streams) close() {
	for _, e := range []*end{&s.in, &s.out, &s.err} {
		e.close()
	}
}

// prefill writes a short payload before there is a reader, and answers what is left to feed.
func (s *streams) prefill(payload []byte) []byte {
	if len(payload) > wholeWrite || !s.in.fill(payload) {
		return payload
	}
	s.in.close()
	return nil
}

// feed writes a payload that prefill did not. A command need not read it.
func (s *streams) feed(payload []byte) {
	if s.in == none {
		return
	}
	s.inFile = s.in.file()
	s.writer.Go(func() {
		_, _ = s.inFile.Write(payload)
		s.inFile.Close()
	})
}

// serve reads what the command prints, while it runs.
func (s *streams) serve() {
	if s.read != nil {
		return
	}
	s.read = make(chan struct{}, 2)
	s.outFile, s.errFile = s.out.file(), s.err.file()
	go s.drain(s.toOut, s.outFile)
	go s.drain(s.toErr, s.errFile)
}

var buffers = sync.Pool{New: func() any { return new([16 << 10]byte) }}

// drain reads to the end, or until the command is gone and what it said is read.
func (s *streams) drain(to io.Writer, from *os.File) {
	defer func() { s.read <- struct{}{} }()
	buffer := buffers.Get().(*[16 << 10]byte)
	defer buffers.Put(buffer)
	for {
		n, err := from.Read(buffer[:])
		_, _ = to.Write(buffer[:n])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			restOf(from, to, buffer[:])
		}
		if err != nil {
			return
		}
	}
}

// finish reads the rest once the command is gone. A process that could not be killed may hold the streams open; it is not
// waited for.
func (s *streams) finish() {
	if s.inFile != nil {
		s.inFile.Close() // ends a writer nobody reads from
		s.writer.Wait()
	}
	if s.read == nil {
		buffer := buffers.Get().(*[16 << 10]byte)
		s.out.rest(s.toOut, buffer[:])
		s.err.rest(s.toErr, buffer[:])
		buffers.Put(buffer)
	} else {
		s.awaitReaders()
		s.outFile.Close()
		s.errFile.Close()
	}
	s.close()
}
