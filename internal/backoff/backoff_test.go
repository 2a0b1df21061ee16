package backoff

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func TestDelayGrowsToTheCap(t *testing.T) {
	none := func() float64 { return 0 }
	for _, c := range []struct {
		attempt int
		want    time.Duration
	}{
		{-3, time.Second}, {0, time.Second}, {1, time.Second}, {2, 2 * time.Second}, {5, 16 * time.Second},
		{15, 16384 * time.Second}, {16, 6 * time.Hour}, {25, 6 * time.Hour}, {math.MaxInt, 6 * time.Hour},
	} {
		if got := Default.Delay(c.attempt, none); got != c.want {
			t.Errorf("attempt %d: got %v, want %v", c.attempt, got, c.want)
		}
	}
	constant := Policy{Base: time.Second, Cap: time.Minute, Factor: 1}
	if got := constant.Delay(1000, nil); got != time.Second {
		t.Errorf("factor 1: got %v, want 1s", got)
	}
}

// TestDelayDistribution looks at mean, spread and variety: a jitter that is
// always zero, or that clumps at the cap, passes every check of bounds.
func TestDelayDistribution(t *testing.T) {
	const n = 20000
	for _, attempt := range []int{1, 6, 16, 25} {
		full := float64(Default.Delay(attempt, func() float64 { return 0 }))
		rnd := rand.New(rand.NewPCG(1, uint64(attempt)))
		var sum, squares float64
		seen := map[time.Duration]bool{}
		var quarters [4]int
		for range n {
			d := Default.Delay(attempt, rnd.Float64)
			share := float64(d) / full
			if share < 0.75-1e-9 || share > 1 {
				t.Fatalf("attempt %d: %v is outside [75%%, 100%%] of %v", attempt, d, time.Duration(full))
			}
			sum += share
			squares += share * share
			seen[d] = true
			quarters[min(3, int((share-0.75)*16))]++
		}
		mean := sum / n
		deviation := math.Sqrt(squares/n - mean*mean)
		if math.Abs(mean-0.875) > 0.002 {
			t.Errorf("attempt %d: mean is %.4f of the full wait, want 0.875", attempt, mean)
		}
		if want := 0.25 / math.Sqrt(12); math.Abs(deviation-want) > 0.002 {
			t.Errorf("attempt %d: deviation is %.4f, want %.4f (uniform)", attempt, deviation, want)
		}
		if len(seen) < n*9/10 {
			t.Errorf("attempt %d: only %d of %d waits differ", attempt, len(seen), n)
		}
		for i, k := range quarters {
			if math.Abs(float64(k)-n/4) > n/40 {
				t.Errorf("attempt %d: quarter %d holds %d of %d", attempt, i, k, n)
			}
		}
	}
}

func TestDefaultRandomnessIsReal(t *testing.T) {
	seen := map[time.Duration]bool{}
	for range 100 {
		seen[Default.Delay(10, nil)] = true
	}
	if len(seen) < 90 {
		t.Fatalf("only %d of 100 waits differ", len(seen))
	}
}

func TestValidateListsEveryFault(t *testing.T) {
	if err := Default.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, p := range []Policy{
		{Base: -1, Cap: -2, Factor: 0.5, Jitter: 2},
		{},
		{Base: 2, Cap: 1, Factor: math.Inf(1), Jitter: -1},
		{Base: 1, Cap: 1, Factor: math.NaN(), Jitter: math.NaN()},
	} {
		err := p.Validate()
		if err == nil {
			t.Fatalf("%+v: no error", p)
		}
		for _, c := range []struct {
			word string
			bad  bool
		}{
			{"base is", p.Base <= 0}, {"cap is", p.Cap < p.Base || p.Cap <= 0},
			{"factor is", !(p.Factor >= 1) || math.IsInf(p.Factor, 0)}, {"jitter is", !(p.Jitter >= 0 && p.Jitter <= 1)},
		} {
			if strings.Contains(err.Error(), c.word) != c.bad {
				t.Errorf("%+v: %q reported = %v, want %v: %v", p, c.word, !c.bad, c.bad, err)
			}
		}
	}
}

func FuzzDelay(f *testing.F) {
	f.Add(int64(time.Second), int64(6*time.Hour), 2.0, 0.25, 25, 0.5)
	f.Add(int64(math.MaxInt64), int64(math.MaxInt64), 1e308, 1.0, math.MaxInt, 0.999)
	f.Add(int64(math.MaxInt64), int64(math.MaxInt64), 1.0, 0.0, 1, 0.0)
	f.Add(int64(math.MinInt64), int64(-1), -3.0, -7.0, math.MinInt, math.Inf(1))
	f.Add(int64(1), int64(math.MaxInt64), -2.0, math.NaN(), 64, math.NaN())
	f.Add(int64(math.MaxInt64), int64(1<<53+3), 1.0, 0.0, 1, 0.0)
	f.Fuzz(func(t *testing.T, base, limit int64, factor, jitter float64, attempt int, r float64) {
		p := Policy{Base: time.Duration(base), Cap: time.Duration(limit), Factor: factor, Jitter: jitter}
		d := p.Delay(attempt, func() float64 { return r })
		if d < 0 || d > max(p.Cap, 0) {
			t.Fatalf("%+v attempt %d: %v is outside [0, cap]", p, attempt, d)
		}
		if p.Validate() == nil && r >= 0 && r < 1 && jitter <= 0.5 && float64(d) < float64(p.Base)*0.49-1 {
			t.Fatalf("%+v attempt %d: %v is below half the base", p, attempt, d)
		}
	})
}

// What is not set is the default's, but for Jitter in a policy that sets anything.
func TestFilled(t *testing.T) {
	for _, c := range []struct{ in, want Policy }{
		{Policy{}, Default},
		{Policy{Base: 500 * time.Millisecond}, Policy{Base: 500 * time.Millisecond, Cap: Default.Cap, Factor: Default.Factor}},
		{Policy{Base: 10 * time.Hour}, Policy{Base: 10 * time.Hour, Cap: 10 * time.Hour, Factor: Default.Factor}},
		{Policy{Jitter: 1}, Policy{Base: Default.Base, Cap: Default.Cap, Factor: Default.Factor, Jitter: 1}},
		{Policy{Base: 1, Cap: 2, Factor: 3}, Policy{Base: 1, Cap: 2, Factor: 3}},
	} {
		if got := c.in.Filled(); got != c.want || got.Validate() != nil {
			t.Errorf("%+v: %+v, want %+v; %v", c.in, got, c.want, got.Validate())
		}
	}
}
