package worker

import "time"

// spareBatches is how many batches' memory waits to be used again.
const spareBatches = 8

// batchLocked makes room for n runs.
func (w *Worker) batchLocked(n int) *batch {
	var b *batch
	for i, spare := range w.spare {
		if cap(spare.runs) >= n {
			last := len(w.spare) - 1
			b, w.spare[i], w.spare[last] = spare, w.spare[last], nil
			w.spare = w.spare[:last]
			break
		}
	}
	if b == nil {
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
