package execjob

import (
	"sync"

	"github.com/google/uuid"
)

type jobID = uuid.UUID

// freeLosses is how often a job may lose its supervisor without being charged an attempt. A job that kills it each time
// must come to an end.
const freeLosses = 1

// maxLosses bounds what is remembered.
const maxLosses = 1024

// losses counts by job how often the supervisor was lost.
type losses struct {
	mu   sync.Mutex
	jobs map[jobID]int
}

func (l *losses) count(id jobID) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.jobs) >= maxLosses {
		clear(l.jobs) // some are charged an attempt later than others
	}
	l.jobs[id]++
	return l.jobs[id]
}

func (l *losses) forget(id jobID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.jobs, id)
}
