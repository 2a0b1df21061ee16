package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/tidemill/tidemill/internal/cli"
)

// secondsBelow is where Unix times turn from seconds into ms: as seconds it is the year 5138, as ms March 1973.
const secondsBelow = 100_000_000_000

const timeForms = `RFC 3339 such as 2027-01-31T08:00:00Z, or Unix time in s or ms`

// parseTime reads an RFC 3339 time, or a Unix time in seconds or ms.
func parseTime(text string) (time.Time, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		if n < 0 {
			return time.Time{}, fmt.Errorf("%q is before 1970", text)
		}
		if n < secondsBelow {
			return time.Unix(n, 0), nil
		}
		return time.UnixMilli(n), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is not a time: want %s", text, timeForms)
	}
	return t, nil
}

// parseDuration reads a Go duration; a bare number is refused, for its unit would be a guess.
func parseDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		err = fmt.Errorf(`%q is not a duration: want a number and its unit, such as 90s or 1h30m`, text)
		if hint := cli.WriteHours(text); hint != "" {
			err = fmt.Errorf("%w; %s", err, hint)
		}
		return 0, err
	}
	return d, nil
}

// milliseconds makes a duration of a number.
func milliseconds(n int64) (time.Duration, error) {
	const most = math.MaxInt64 / int64(time.Millisecond)
	if n > most || n < -most {
		return 0, fmt.Errorf("%d ms is too long", n)
	}
	return time.Duration(n) * time.Millisecond, nil
}

// timeValue is a flag.
type timeValue struct{ time.Time }

func (v *timeValue) Type() string { return "time" }

func (v *timeValue) String() string {
	if v.IsZero() {
		return ""
	}
	return v.Format(time.RFC3339)
}

func (v *timeValue) Set(text string) (err error) {
	v.Time, err = parseTime(text)
	return err
}

// durationValue is a flag. pflag's own says what is wrong less clearly.
type durationValue struct{ time.Duration }

func (v *durationValue) Type() string { return "duration" }

func (v *durationValue) String() string {
	if v.Duration == 0 {
		return ""
	}
	return v.Duration.String()
}

func (v *durationValue) Set(text string) (err error) {
	v.Duration, err = parseDuration(text)
	return err
}

// intValue is a flag without a default: pflag would print the zero of its own.
type intValue struct {
	n     int
	given bool
}

func (v *intValue) Type() string { return "n" }

func (v *intValue) String() string {
	if !v.given {
		return ""
	}
	return strconv.Itoa(v.n)
}

func (v *intValue) Set(text string) (err error) {
	if v.n, err = strconv.Atoi(text); err != nil {
		return errors.New("want a whole number")
	}
	v.given = true
	return nil
}
