package queue

import (
	"bufio"
	"crypto/rand"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/wire"
)

// common is what jobs that are made one right after the other have in common; nil = nothing.
type common struct {
	now    time.Time
	made   int    // with that time
	memory []byte // of their envelopes
	slab   int    // so much of it is allocated at a time, bytes
	spec   spec   // of the one that is made
}

const (
	// sameTime is how many jobs of a batch are made with one look at the clock, which takes as long as a fifth of making one.
	sameTime = 16
	// batchSlab is a common's slab where many jobs are made, oneSlab where one is.
	batchSlab, oneSlab = 16 << 10, 512
	// maxMemory is how much memory is kept to be used again, in bytes.
	maxMemory = 256 << 10
)

// commons are those of single enqueues that were answered, to be used again.
var commons = sync.Pool{New: func() any { return &common{slab: oneSlab} }}

// reuse keeps one whose job was answered, so that nobody has the envelope any more.
func (m *common) reuse() {
	if cap(m.memory) <= maxMemory {
		m.made, m.memory, m.spec = 0, m.memory[:0], spec{}
		commons.Put(m)
	}
}

// clock is the time, where several share it a little old.
func (m *common) clock() time.Time {
	if m == nil {
		return time.Now()
	}
	if m.made%sameTime == 0 {
		m.now = time.Now()
	}
	m.made++
	return m.now
}

// blank is what options are applied to.
func (m *common) blank() *spec {
	if m == nil {
		return &spec{queue: DefaultQueue}
	}
	m.spec = spec{queue: DefaultQueue}
	return &m.spec
}

// envelope encodes it, of about so many bytes.
func (m *common) envelope(e *wire.Envelope, about int) []byte {
	if m == nil || about > maxMemory {
		return e.Append(make([]byte, 0, about))
	}
	if cap(m.memory)-len(m.memory) < about { // those before have what they are in
		m.memory = make([]byte, 0, max(m.slab, about, min(2*cap(m.memory), maxMemory)))
	}
	from := len(m.memory)
	m.memory = e.Append(m.memory)
	return m.memory[from:len(m.memory):len(m.memory)]
}

// newID makes a job's id. Its random part is read for several at a time: Go asks the kernel for each, which takes as long as all
// the rest of it. (uuid.EnableRandPool would do so for every id of the process.)
func newID() (uuid.UUID, error) {
	r := randoms.Get().(*bufio.Reader)
	id, err := uuid.NewV7FromReader(r)
	randoms.Put(r)
	return id, err
}

var randoms = sync.Pool{New: func() any { return bufio.NewReaderSize(rand.Reader, 1024) }}

// payloads are what args are marshalled into on their way into envelopes.
var payloads = sync.Pool{New: func() any { return new([]byte) }}

func putPayload(room *[]byte) {
	if cap(*room) <= maxMemory {
		payloads.Put(room)
	}
}
