package queue

import (
	"testing"
	"time"
)

// run has calls answered for so long at the rates (jobs a second) that large and small ones have, and answers which share of
// the time they were small.
func (p *pace) run(total time.Duration, large, small float64) float64 {
	var spent, inSmall time.Duration
	for spent < total {
		jobs, rate := 8, small
		if p.large {
			jobs, rate = 32, large
		}
		took := time.Duration(float64(jobs) / rate * float64(time.Second))
		if spent += took; !p.large {
			inSmall += took
		}
		p.note(jobs, took)
	}
	return inSmall.Seconds() / spent.Seconds()
}

// TestPaceFindsTheBetterWay, whatever it was before, and spends little time on the other.
func TestPaceFindsTheBetterWay(t *testing.T) {
	var p pace
	for _, step := range []struct {
		large, small float64
		least, most  float64
	}{
		{70_000, 130_000, 0.95, 0.999},
		{45_000, 37_000, 0.001, 0.05},
		{100_000, 150_000, 0.95, 0.999},
		{100_000, 102_000, 0.001, 0.05},
		{100_000, 130_000, 0.95, 0.999},
		{100_000, 115_000, 0.95, 0.999}, // not worth a change, but known to be better
		{100_000, 100_000, 0.001, 0.05},
		{100_000, 115_000, 0.001, 0.05},
	} {
		p.run(2*time.Second, step.large, step.small) // what it knew is out of date
		if share := p.run(5*time.Second, step.large, step.small); share < step.least || share > step.most {
			t.Errorf("large %v, small %v: small for %.3f of the time", step.large, step.small, share)
		}
	}
}

// TestPaceWhereAnswersTakeLong: trials last longer there, and so does what lies between them.
func TestPaceWhereAnswersTakeLong(t *testing.T) {
	var p pace // round trips of 50 ms: one large call at a time, or four small ones
	p.run(time.Minute, 640, 640)
	for _, small := range []float64{320, 1280} {
		p.run(time.Minute, 640, small)
		best := p.run(5*time.Minute, 640, small)
		if small < 640 {
			best = 1 - best
		}
		if best < 0.85 {
			t.Errorf("large 640, small %v: the better way for %.3f of the time", small, best)
		}
	}
}

// TestPaceIsNotMisledByAPause: nothing was answered for a while, and it is back at the better way soon.
func TestPaceIsNotMisledByAPause(t *testing.T) {
	var p pace
	p.run(2*time.Second, 70_000, 130_000)
	p.note(8, time.Minute)
	if share := p.run(5*time.Second, 70_000, 130_000); share < 0.8 {
		t.Errorf("small for %.3f of the time", share)
	}
}

// TestPaceIsNotMisledByItsBeginning: small calls were slow while all was cold, and large ones when their trial came.
func TestPaceIsNotMisledByItsBeginning(t *testing.T) {
	var p pace
	p.run(60*time.Millisecond, 200_000, 120_000)
	if share := p.run(time.Second, 140_000, 230_000); share < 0.8 {
		t.Errorf("small for %.3f of the time", share)
	}
}
