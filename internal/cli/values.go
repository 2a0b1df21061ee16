package cli

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// inDays is a number of weeks or days, and what else a Go duration may hold: hours, minutes, seconds.
var inDays = regexp.MustCompile(`^([0-9]{1,4})([dw])(?:([0-9]{1,4})h)?((?:[0-9]+(?:m|s|ms))*)$`)

// WriteHours says how a text that counts days or weeks is written as a Go duration: "for 1d write 24h". It is empty for
// any other text.
func WriteHours(text string) string {
	parts := inDays.FindStringSubmatch(text)
	if parts == nil {
		return ""
	}
	days, _ := strconv.Atoi(parts[1])
	if parts[2] == "w" {
		days *= 7
	}
	hours, _ := strconv.Atoi("0" + parts[3])
	written := fmt.Sprintf("%dh%s", days*24+hours, parts[4])
	if _, err := time.ParseDuration(written); err != nil { // too long
		return ""
	}
	return "for " + text + " write " + written
}

// invalidValue says what is wanted where a flag only has the words of the function that parsed it, and adds to a duration
// in days how to write it, unless the flag has said so itself.
func invalidValue(err error) error {
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return err
	}
	cause := errors.Unwrap(invalid)
	says := func(words string) { err = errors.New(strings.TrimSuffix(err.Error(), cause.Error()) + words) }
	var number *strconv.NumError
	switch isInt := invalid.GetFlag().Value.Type() == "int"; {
	case isInt && errors.As(cause, &number) && errors.Is(cause, strconv.ErrRange):
		says("out of range")
	case isInt && errors.As(cause, &number):
		says("want a whole number")
	case invalid.GetFlag().Value.Type() != "duration":
		return err
	case strings.HasPrefix(cause.Error(), "time: "):
		says(fmt.Sprintf("%q is not a duration: want a number and its unit, such as 90s or 1h30m", invalid.GetValue()))
	}
	if hint := WriteHours(invalid.GetValue()); hint != "" && !strings.Contains(err.Error(), hint) {
		return fmt.Errorf("%w; %s", err, hint)
	}
	return err
}
