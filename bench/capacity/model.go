package main

import (
	"cmp"
	"maps"
	"math"
	"math/bits"
	"slices"

	"github.com/tidemill/tidemill/bench/internal/rig"
)

// between is the straight line between the two points of by around x; beyond the last it goes on, before the first it is that.
func between(by map[int]float64, x int) float64 {
	xs := slices.Sorted(maps.Keys(by))
	if x <= xs[0] || len(xs) == 1 {
		return by[xs[0]]
	}
	i, _ := slices.BinarySearch(xs, x)
	i = min(i, len(xs)-1)
	a, b := xs[i-1], xs[i]
	return by[a] + (by[b]-by[a])*float64(x-a)/float64(b-a)
}

// bySize is the cost of a job with a payload of any size.
func bySize(costs map[int]cost, size int) cost {
	of := func(part func(cost) float64) float64 {
		by := make(map[int]float64)
		for at, c := range costs {
			by[at] = part(c)
		}
		return between(by, size)
	}
	return cost{
		Redis: rig.Spread{
			Median: of(func(c cost) float64 { return c.Redis.Median }),
			Min:    of(func(c cost) float64 { return c.Redis.Min }),
			Max:    of(func(c cost) float64 { return c.Redis.Max }),
		},
		Client: of(func(c cost) float64 { return c.Client }),
		In:     of(func(c cost) float64 { return c.In }),
		Out:    of(func(c cost) float64 { return c.Out }),
	}
}

// batches is the cost of a job that is enqueued in a batch and run from a backlog.
func (c *constants) batches(size int) cost { return bySize(c.Enqueue, size).add(bySize(c.Run, size)) }

// alone is the rate, in jobs a second, up to which each job comes alone.
const alone = 100

// atRate is the cost of a job that comes by itself, one of so many a second: by the logarithm of the rate between those that
// were measured, and above the last as at that. A larger payload adds what it adds in batches.
func (c *constants) atRate(rate float64, size int) cost {
	points := maps.Clone(c.Rates)
	points[alone] = c.Ones[sizes[0]]
	xs := slices.Sorted(maps.Keys(points))
	i := 0
	for i < len(xs)-1 && rate >= float64(xs[i+1]) {
		i++
	}
	at := points[xs[i]]
	if rate > float64(xs[i]) && i < len(xs)-1 {
		part := math.Log(rate/float64(xs[i])) / math.Log(float64(xs[i+1])/float64(xs[i]))
		at = mix(at, points[xs[i+1]], part)
	}
	small, large := c.batches(sizes[0]), c.batches(size)
	at.Redis.Median += large.Redis.Median - small.Redis.Median
	at.Client += large.Client - small.Client
	at.In += large.In - small.In
	at.Out += large.Out - small.Out
	return at
}

// mix is a part of the way from one cost to another.
func mix(a, b cost, part float64) cost {
	of := func(a, b float64) float64 { return a + (b-a)*part }
	return cost{Redis: rig.Spread{Median: of(a.Redis.Median, b.Redis.Median)}, Client: of(a.Client, b.Client), In: of(a.In, b.In), Out: of(a.Out, b.Out)}
}

// envelope is about what a payload has around it where Redis keeps it: the engine's envelope, the kind and Redis's own head.
const envelope = 40

// allocated is what Redis's usual allocator, jemalloc, gives for so many bytes: the next of four steps between two powers of 2.
func allocated(n int) int {
	if n <= 128 {
		return (n + 15) / 16 * 16
	}
	step := 1 << bits.Len(uint(n-1)) / 8
	return (n + step - 1) / step * step
}

// memoryOf is what a job takes in a state: what is allocated for it, and what a payload of the constants takes beyond that.
func (c *constants) memoryOf(state string, size int) float64 {
	beyond := make(map[int]float64)
	for at, bytes := range c.Memory[state] {
		beyond[at] = bytes - float64(allocated(at+envelope))
	}
	return between(beyond, size) + float64(allocated(size+envelope))
}

// predict is what the constants say of a point that was checked.
func (c *constants) predict(k check) float64 {
	if k.What == whatMemory {
		return c.memoryOf(statePending, k.Size)
	}
	var at cost
	switch k.Measure {
	case inBatches:
		at = c.batches(k.Size)
	case inCalls:
		at = bySize(c.Calls, k.Size)
	case inEights:
		at = bySize(c.Eights, k.Size)
	default:
		at = c.atRate(float64(k.Rate), k.Size)
	}
	return map[string]float64{whatCPU: at.Redis.Median, whatIn: at.In, whatOut: at.Out}[k.What]
}

// errorOf is how far a prediction is from what was measured, in percent.
func (c *constants) errorOf(k check) float64 {
	return 100 * (c.predict(k) - k.Measured.Median) / cmp.Or(k.Measured.Median, math.NaN())
}
