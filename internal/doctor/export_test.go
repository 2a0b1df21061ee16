package doctor

// Gather sets how many ids are looked for in lists at a time.
func (d *Doctor) Gather(n int) { d.gather = n }
