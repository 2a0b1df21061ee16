//go:build race

package matrix

func init() { manyJobs = 5000 } // the race detector knows some 8,000 goroutines at most
