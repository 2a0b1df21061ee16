package plots

import (
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
)

// steps marks a logarithmic axis at 1, 2 and 5 times each power of ten, and names those that there is room for.
type steps struct{}

// Ticks implements plot.Ticker.
func (steps) Ticks(low, high float64) (ticks []plot.Tick) {
	few := math.Log10(high/low) <= 2.5
	for at := stepBelow(low); at <= high*(1+slack); at = stepAbove(at * 1.1) {
		if at < low*(1-slack) {
			continue
		}
		tick := plot.Tick{Value: at}
		if _, digit := split(at); few || digit == 1 {
			tick.Label = name(at)
		}
		ticks = append(ticks, tick)
	}
	return ticks
}

// slack is what a product of steps may be off by.
const slack = 1e-9

// split takes a number apart into a power of ten and what it is times that, from 1 to less than 10.
func split(v float64) (power, digit float64) {
	power = math.Pow(10, math.Floor(math.Log10(v)*(1+slack)+slack))
	return power, v / power
}

// stepBelow is the largest step that is not above v, stepAbove the smallest that is not below.
func stepBelow(v float64) float64 {
	power, digit := split(v)
	for _, step := range []float64{5, 2} {
		if digit >= step*(1-slack) {
			return step * power
		}
	}
	return power
}

func stepAbove(v float64) float64 {
	power, digit := split(v)
	for _, step := range []float64{1, 2, 5} {
		if digit <= step*(1+slack) {
			return step * power
		}
	}
	return 10 * power
}

// name is a number with its thousands set apart.
func name(v float64) string {
	text := strconv.FormatFloat(v, 'f', -1, 64)
	if v < 1 {
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	text, _, _ = strings.Cut(text, ".")
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
