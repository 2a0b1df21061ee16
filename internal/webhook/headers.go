package webhook

import (
	"maps"
	"net/http"
	"net/textproto"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tidemill/tidemill/queue"
)

// taken are the headers that a Config may not set: the connection's, and those that are made for each request.
var taken = []string{"Connection", "Content-Length", "Expect", "Host", "Idempotency-Key", "Keep-Alive", "Proxy-Authorization",
	"Proxy-Connection", "Te", "Traceparent", "Tracestate", "Trailer", "Transfer-Encoding", "Upgrade",
	headerID, headerTimestamp, headerSignature}

// fixedHeader is what is the same in every request. A fault shows no value: it may be secret.
func (c Config) fixedHeader(faults *Faults) http.Header {
	header := http.Header{}
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		switch value := c.Headers[name]; {
		case !token(name):
			faults.add("headers", "name %.60q; allowed: letters, digits and any of !#$%%&'*+-.^_`|~", name)
		case slices.Contains(taken, canonical) || strings.HasPrefix(canonical, "Tidemill-"):
			faults.add("headers", "%s is set by the handler itself", canonical)
		case header[canonical] != nil:
			faults.add("headers", "%s is given twice", canonical)
		case !headerValue(value):
			faults.add("headers", "the value of %s is empty, or holds line ends or control characters", canonical)
		default:
			header[canonical] = []string{value}
		}
	}
	if c.Bearer != nil {
		switch bearer := string(c.Bearer); {
		case header["Authorization"] != nil:
			faults.add("bearer", "is given, and headers set Authorization too; allowed: one of them")
		case !headerValue(bearer) || strings.ContainsAny(bearer, " \t"):
			faults.add("bearer", "is empty, or holds spaces, line ends or control characters")
		default:
			header.Set("Authorization", "Bearer "+bearer)
		}
	}
	if header["User-Agent"] == nil {
		if !headerValue(c.UserAgent) {
			faults.add("user_agent", "holds line ends or control characters")
		}
		header.Set("User-Agent", c.UserAgent)
	}
	return header
}

// describe adds what tells of the job.
func describe(header http.Header, job *queue.Job[queue.Raw]) {
	header.Set("Idempotency-Key", job.ID.String())
	header.Set("Tidemill-Kind", job.Kind)
	header.Set("Tidemill-Queue", job.Queue)
	header.Set("Tidemill-Attempt", strconv.Itoa(job.Attempt))
	kind := "application/json"
	if encoding := job.Encoding; encoding != "" && encoding != queue.JSON.Name() {
		kind = "application/octet-stream"
		if headerValue(encoding) {
			header.Set("Tidemill-Encoding", encoding)
		}
	}
	if header["Content-Type"] == nil {
		header.Set("Content-Type", kind)
	}
	trace(header, job.Meta)
}

// parentForm is a traceparent: version, trace, span and flags; later versions may append to it.
var parentForm = regexp.MustCompile(`^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?$`)

// trace passes on the W3C trace context that the job's metadata holds. One that is not valid is dropped as the standard
// asks for: it must not fail the request.
func trace(header http.Header, meta map[string]string) {
	parent := meta["traceparent"]
	parts := parentForm.FindStringSubmatch(parent)
	if parts == nil || !headerValue(parent) || parts[1] == "ff" || parts[1] == "00" && parts[4] != "" ||
		strings.Trim(parts[2], "0") == "" || strings.Trim(parts[3], "0") == "" {
		return
	}
	header.Set("Traceparent", parent)
	if state := meta["tracestate"]; headerValue(state) {
		header.Set("Tracestate", state)
	}
}

// token tells whether a text may be a header's name.
func token(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", r))
	})
}

// headerValue tells whether a text may be a header's value: not blank, and without control characters but tabs.
func headerValue(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return false
		}
	}
	return strings.TrimSpace(s) != ""
}
