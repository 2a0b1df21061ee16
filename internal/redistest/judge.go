package redistest

import "slices"

// judge asks the hooks what shall happen to the reply of c.
func (f *faults) judge(c command) verdict {
	f.mu.Lock()
	drop, delay := f.drop, f.delay
	keeps, holds := slices.Clone(f.keeps), slices.Clone(f.holds)
	f.mu.Unlock()
	if c.name == "" || (drop == nil && delay == nil && len(keeps) == 0 && len(holds) == 0) {
		return verdict{}
	}
	f.judging.Lock()
	defer f.judging.Unlock()
	var v verdict
	if drop != nil {
		v.drop = drop(c.name, c.args)
	}
	if delay != nil {
		v.delay = delay(c.name, c.args)
	}
	for _, k := range keeps {
		if k.pred(c.name, c.args) {
			v.keeps = append(v.keeps, k)
		}
	}
	for _, h := range holds {
		if h.newer != nil && h.joined() && h.newer(c.name, c.args) {
			v.frees = append(v.frees, h)
		}
	}
	return v
}

// findHold returns the first command of the batch that is to be held and the
// hold it has joined, or the length of the batch and nil.
func (f *faults) findHold(batch []command) (int, *hold) {
	f.mu.Lock()
	holds := slices.Clone(f.holds)
	f.mu.Unlock()
	if len(holds) == 0 {
		return len(batch), nil
	}
	f.judging.Lock()
	defer f.judging.Unlock()
	for i, c := range batch {
		for _, h := range holds {
			if c.name != "" && h.pred(c.name, c.args) && h.join() {
				return i, h
			}
		}
	}
	return len(batch), nil
}
