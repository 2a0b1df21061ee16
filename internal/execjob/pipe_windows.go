package execjob

import (
	"io"
	"os"
	"time"
)

// end is our end of a pipe.
type end struct{ f *os.File }

var none end

// patience is how long a command may go on before its output is read: what is in a pipe cannot be read later without
// waiting.
const patience = 0

// wholeWrite is what an empty pipe takes at once.
const wholeWrite = 0

// readerGrace is how long a stream may stay open once the command is gone: what it started may hold it.
const readerGrace = 500 * time.Millisecond

// pipe makes a pipe; ours is the end that reads, or the one that writes.
func pipe(reads bool) (end, *os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return none, nil, err
	}
	if reads {
		return end{r}, w, nil
	}
	return end{w}, r, nil
}

func (e *end) close() {
	if e.f != nil {
		e.f.Close()
		e.f = nil
	}
}

func (e *end) file() *os.File {
	f := e.f
	e.f = nil
	return f
}

// fill leaves all to feed, but for nothing.
func (e end) fill(b []byte) bool { return len(b) == 0 }

func (e end) rest(io.Writer, []byte) {}

func restOf(*os.File, io.Writer, []byte) {}

// awaitReaders leaves readers behind whose pipe does not end; nobody hears them.
func (s *streams) awaitReaders() {
	timer := time.NewTimer(readerGrace)
	defer timer.Stop()
	for range 2 {
		select {
		case <-s.read:
		case <-timer.C:
			return
		}
	}
}
