package webhook

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/tidemill/tidemill/queue"
)

func TestVerdict(t *testing.T) {
	const done, retry, dead = "done", "retry", "dead"
	for want, codes := range map[string][]int{
		done:  {200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 299},
		dead:  {300, 301, 302, 303, 304, 307, 308, 399, 400, 401, 403, 404, 405, 406, 407, 409, 410, 411, 413, 415, 422, 423, 424, 426, 428, 431, 451, 499},
		retry: {101, 408, 425, 429, 500, 501, 502, 503, 504, 505, 507, 511, 599, 600, 999},
	} {
		for _, code := range codes {
			for _, header := range []http.Header{{}, {"Retry-After": {"7"}}} {
				a := &answer{code: code, header: header, body: []byte("words\xff")}
				err := a.verdict("https://a", time.Now())
				got, after := done, time.Duration(0)
				if err != nil {
					got = retry
				}
				var gaveUp *queue.DeadError
				if errors.As(err, &gaveUp) {
					got = dead
				}
				var later *queue.RetryAfterError
				if errors.As(err, &later) {
					after = later.After
				}
				if wait := len(header) > 0 && want == retry; got != want || wait != (after == 7*time.Second) {
					t.Errorf("%d %v: %s after %v, want %s", code, header, got, after, want)
				}
				if err == nil {
					continue
				}
				var status *StatusError
				var output *queue.OutputError
				if !errors.As(err, &status) || status.Code != code || !errors.As(err, &output) || output.Output != "words\uFFFD" {
					t.Errorf("%d: %#v, output %q", code, status, output)
				}
			}
		}
	}
}

func TestVerdictText(t *testing.T) {
	for _, c := range []struct {
		a    answer
		want string
	}{
		{answer{code: 503}, "https://a:1 answered 503 Service Unavailable"},
		{answer{code: 999}, "https://a:1 answered 999"},
		{answer{code: 404, header: http.Header{"Location": {"/x"}}}, "https://a:1 answered 404 Not Found"},
		{answer{code: 308, header: http.Header{"Location": {"https://b/hidden?hidden=1"}}}, `https://a:1 answered 308 Permanent Redirect, to "https://b": redirects are not followed`},
		{answer{code: 302, header: http.Header{"Location": {"//u:hidden@b:2/hidden"}}}, `https://a:1 answered 302 Found, to "//b:2": redirects are not followed`},
		{answer{code: 301, header: http.Header{"Location": {"/hidden/"}}}, "https://a:1 answered 301 Moved Permanently: redirects are not followed"},
		{answer{code: 301, header: http.Header{"Location": {"https://b\x1b[2J/hidden"}}}, "https://a:1 answered 301 Moved Permanently: redirects are not followed"},
		{answer{code: 304}, "https://a:1 answered 304 Not Modified: redirects are not followed"},
	} {
		if got := c.a.verdict("https://a:1", time.Now()).Error(); got != c.want {
			t.Errorf("%d: %q, want %q", c.a.code, got, c.want)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2027, 1, 31, 8, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		header, date string
		want         time.Duration // -1 = none
	}{
		"none":                 {"", "", -1},
		"seconds":              {"120", "", 2 * time.Minute},
		"spaces":               {" 120 ", "", 2 * time.Minute},
		"0":                    {"0", "", -1},
		"negative":             {"-5", "", -1},
		"fraction":             {"1.5", "", -1},
		"text":                 {"soon", "", -1},
		"sign":                 {"+5", "", -1},
		"a day":                {"86400", "", MaxRetryAfter},
		"a year":               {"31536000", "", MaxRetryAfter},
		"beyond 32 bits":       {"99999999999", "", MaxRetryAfter},
		"beyond 64 bits":       {"999999999999999999999999", "", MaxRetryAfter},
		"date":                 {"Sun, 31 Jan 2027 08:01:30 GMT", "", 90 * time.Second},
		"date in RFC 850":      {"Sunday, 31-Jan-27 08:01:30 GMT", "", 90 * time.Second},
		"date in asctime":      {"Sun Jan 31 08:01:30 2027", "", 90 * time.Second},
		"past date":            {"Sun, 31 Jan 2027 07:59:59 GMT", "", -1},
		"now":                  {"Sun, 31 Jan 2027 08:00:00 GMT", "", -1},
		"far date":             {"Sun, 31 Jan 2077 08:00:00 GMT", "", MaxRetryAfter},
		"by the other's clock": {"Mon, 01 Feb 2027 09:00:10 GMT", "Mon, 01 Feb 2027 09:00:00 GMT", 10 * time.Second},
		"past by its clock":    {"Sun, 31 Jan 2027 08:00:10 GMT", "Mon, 01 Feb 2027 09:00:00 GMT", -1},
		"with a broken Date":   {"Sun, 31 Jan 2027 08:01:30 GMT", "today", 90 * time.Second},
	} {
		for _, code := range []int{408, 425, 429, 500, 503} {
			a := &answer{code: code, header: http.Header{"Retry-After": {c.header}, "Date": {c.date}}}
			var after *queue.RetryAfterError
			got := time.Duration(-1)
			if errors.As(a.verdict("https://a", now), &after) {
				got = after.After
			}
			if got != c.want {
				t.Errorf("%s, %d: %v, want %v", name, code, got, c.want)
			}
		}
	}
}
