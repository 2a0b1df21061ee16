package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// secondsBelow is where Unix times turn from seconds into ms: as seconds it is the year 5138, as ms March 1973.
const secondsBelow = 100_000_000_000

// unixFrom is the least number that is taken for a Unix time, in 2001: a smaller one is more likely a number of something
// else, whose unit is missing.
const unixFrom = 1_000_000_000

const momentForms = `a time back such as 2h or 3d, one to come such as +10m, or RFC 3339 such as 2027-01-31T08:00:00Z`

// parseMoment reads a point in time: so long ago, or with a plus in so long; or as parseTime does.
func parseMoment(text string, now time.Time) (time.Time, error) {
	span, ahead := strings.CutPrefix(text, "+")
	if d, err := parseSpan(span); err == nil && d >= 0 {
		if ahead {
			return now.Add(d), nil
		}
		return now.Add(-d), nil
	}
	if t, err := parseTime(text); err == nil {
		return t, nil
	}
	return time.Time{}, fmt.Errorf("%q is not a time: want %s", text, momentForms)
}

// parseTime reads an RFC 3339 time, or a Unix time in seconds or ms.
func parseTime(text string) (time.Time, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= unixFrom {
		if n < secondsBelow {
			return time.Unix(n, 0), nil
		}
		return time.UnixMilli(n), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is not a time: want RFC 3339 such as 2027-01-31T08:00:00Z, or Unix time in s or ms", text)
	}
	return t, nil
}

// parseSpan reads a Go duration, or a number of days such as 3d. A bare number is refused, for its unit would be a guess.
func parseSpan(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || text == "0" {
		return 0, fmt.Errorf("%q is not a duration: want a number and its unit, such as 90s, 1h30m or 3d", text)
	}
	return d, nil
}
