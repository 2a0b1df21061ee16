package webhook

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tidemill/tidemill/queue"
)

// MaxRetryAfter is the longest that an answer can put the next attempt off.
const MaxRetryAfter = 24 * time.Hour

// StatusError is an answer that was no success.
type StatusError struct {
	Place    string // scheme, host and port; no more of the URL, since a path may be secret
	Code     int
	Location string // scheme, host and port of where a redirect points, if it names them: its path is most often the URL's own
}

func (e *StatusError) Error() string {
	text := fmt.Sprintf("%s answered %d", e.Place, e.Code)
	if name := http.StatusText(e.Code); name != "" {
		text += " " + name // not the receiver's own words: they could be any length
	}
	switch {
	case e.Location != "":
		text += fmt.Sprintf(", to %.200q: redirects are not followed", e.Location)
	case e.Code >= 300 && e.Code <= 399:
		text += ": redirects are not followed"
	}
	return text
}

// origin is as much of a redirect's target as may be shown, "" where it stays with the same host.
func origin(location string) string {
	u, err := url.Parse(location)
	if err != nil || u.Host == "" {
		return ""
	}
	if u.Scheme == "" {
		return "//" + u.Host
	}
	return u.Scheme + "://" + u.Host
}

// answer is as much of a response as counts.
type answer struct {
	code   int
	header http.Header
	body   []byte // up to what is kept of it
	cut    bool   // there was more
}

// verdict is what an answer means, in terms of package queue; nil is success. It is pure: now is passed in.
func (a *answer) verdict(place string, now time.Time) error {
	if a.code >= 200 && a.code <= 299 {
		return nil
	}
	status := &StatusError{Place: place, Code: a.code}
	if a.code >= 300 && a.code <= 399 {
		status.Location = origin(a.header.Get("Location"))
	}
	err := queue.WithOutput(status, strings.ToValidUTF8(string(a.body), "\uFFFD"))
	if !passing(a.code) {
		return queue.Dead(err)
	}
	if after, ok := retryAfter(a.header, now); ok {
		return queue.RetryAfter(err, min(after, MaxRetryAfter))
	}
	return err
}

// passing tells whether a status may pass. Those that no standard knows (below 200, 600 and up) come from something
// broken on the way.
func passing(code int) bool {
	switch {
	case code >= 500 || code < 200:
		return true
	}
	return code == http.StatusRequestTimeout || code == http.StatusTooEarly || code == http.StatusTooManyRequests
}

// retryAfter reads Retry-After: seconds, or a date, which counts against the answer's own Date where there is one, so
// that the two clocks need not agree. What cannot be read, is over or is 0 asks for nothing: the policy's backoff holds.
func retryAfter(header http.Header, now time.Time) (time.Duration, bool) {
	text := strings.TrimSpace(header.Get("Retry-After"))
	if text == "" {
		return 0, false
	}
	if strings.Trim(text, "0123456789") == "" {
		seconds, err := strconv.ParseUint(text, 10, 32)
		if errors.Is(err, strconv.ErrRange) {
			seconds = uint64(1<<32 - 1)
		}
		return time.Duration(seconds) * time.Second, seconds > 0
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	if date, err := http.ParseTime(header.Get("Date")); err == nil {
		now = date
	}
	return at.Sub(now), at.After(now)
}
