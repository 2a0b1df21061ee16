package workerfile

import (
	"strings"
	"testing"
)

// What is shown of an address holds no more than a host and a path of words.
func TestWithoutScheme(t *testing.T) {
	const plain = "lacks http:// or https://; such as https://app.internal/hooks"
	lacks := func(shown, meant string) string {
		return `"` + shown + `" lacks http:// or https://; did you mean ` + meant + "?"
	}
	for raw, want := range map[string]string{
		"https://app.internal/hooks": "", "ftp://h": "", "https://": "",
		"app.internal/hooks":                 lacks("app.internal/hooks", "https://app.internal/hooks"),
		"app.internal":                       lacks("app.internal", "https://app.internal"),
		"//app.internal:8443":                lacks("app.internal:8443", "https://app.internal:8443"),
		"http:/app.internal/a":               lacks("app.internal/a", "http://app.internal/a"),
		"localhost:8080/a":                   lacks("localhost:8080/a", "http://localhost:8080/a"),
		"127.0.0.1:80":                       lacks("127.0.0.1:80", "http://127.0.0.1:80"),
		"app.internal/T0S3cret":              lacks("app.internal/...", "https://app.internal/..."),
		"app.internal/a?key=s3cret":          lacks("app.internal/...", "https://app.internal/..."),
		"app.internal/go?to=https://s3cret/": lacks("app.internal/...", "https://app.internal/..."),
		"app.internal/#s3cret":               lacks("app.internal/...", "https://app.internal/..."),
		"app.internal/%73s3cret":             lacks("app.internal/...", "https://app.internal/..."),
		"u:s3cret@app.internal/":             plain, "s3cret": plain, "whsec_s3cret": plain, "a b.internal": plain, "\x01": plain, "://": plain,
	} {
		got := withoutScheme(raw, false)
		if got != want || strings.Contains(strings.ToLower(got), "s3cret") {
			t.Errorf("%s: %s, want %s", raw, got, want)
		}
	}
	if got := withoutScheme("app.internal/hooks", true); got != plain {
		t.Errorf("of a variable it shows %s", got)
	}
}
