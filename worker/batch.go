package worker

import "time"

// spareBatches is how many batches' memory waits to be used again.
const spareBatches = 8

// batchLocked makes room for n runs.
func (w *Worker) batchLocked(n int) *batch {
	best := -1 // the smallest, and none that is far too large: a job that runs for long keeps it
	for i, spare := range w.spare {
		if has := cap(spare.runs); has >= n && has <= 4*n+8 && (best < 0 || has < cap(w.spare[best].runs)) {
			best = i
		}
	}
	var b *batch
	if best >= 0 {
		last := len(w.spare) - 1
		b, w.spare[best], w.spare[last] = w.spare[best], w.spare[last], nil
		w.spare = w.spare[:last]
	} else {
		b = &batch{runs: make([]run, n)}
	}
	b.runs, b.contexts, b.open, b.at = b.runs[:n], make([]jobContext, n), n, time.Now()
	return b
}

// spareLocked takes back a batch that nothing points into any more; of too many it keeps the larger ones.
func (w *Worker) spareLocked(b *batch) {
	clear(b.runs)
	b.contexts = nil
	if len(w.spare) < spareBatches {
		w.spare = append(w.spare, b)
		return
	}
	least := 0
	for i, spare := range w.spare {
		if cap(spare.runs) < cap(w.spare[least].runs) {
			least = i
		}
	}
	if cap(b.runs) > cap(w.spare[least].runs) {
		w.spare[least] = b
	}
}
