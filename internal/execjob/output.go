package execjob

import (
	"sync"

	"github.com/tidemill/tidemill/queue"
)

// output keeps the beginning of what a command prints, as long as a result may be, and counts the rest.
type output struct {
	mu    sync.Mutex // the reader may be left behind: see streams
	kept  []byte
	total int
}

func newOutput() *output { return &output{} }

// Write takes everything.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.total += len(b)
	o.kept = append(o.kept, b[:min(len(b), queue.MaxResult-len(o.kept))]...)
	return len(b), nil
}

// result is what was kept, and how much there was.
func (o *output) result() ([]byte, int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.kept, o.total
}
