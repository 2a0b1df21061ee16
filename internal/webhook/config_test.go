package webhook

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestFaults(t *testing.T) {
	dir := t.TempDir()
	notPEM := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(notPEM, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	gone := filepath.Join(dir, "gone.pem")
	const example = `allowed: an address such as "https://app.internal/hooks"`
	const ok = "https://app.internal/hooks"
	for name, c := range map[string]struct {
		config Config
		want   string
	}{
		"no url":         {Config{}, "url: is missing; " + example},
		"unparsable":     {Config{URL: "http://[::1"}, "url: missing ']' in host; " + example},
		"control":        {Config{URL: "http://a\nb/secret"}, "url: net/url: invalid control character in URL; " + example},
		"scheme":         {Config{URL: "ftp://a/b"}, `url: scheme "ftp"; allowed: http, https`},
		"no scheme":      {Config{URL: "app.internal/hooks"}, `url: scheme ""; allowed: http, https`},
		"opaque":         {Config{URL: "http:app.internal"}, "url: names no host; " + example},
		"no host":        {Config{URL: "http:///hooks"}, "url: names no host; " + example},
		"only a port":    {Config{URL: "http://:80/hooks"}, "url: names no host; " + example},
		"port":           {Config{URL: "http://a:70000/"}, "url: port 70000; allowed: 1 to 65535"},
		"port 0":         {Config{URL: "http://a:0/"}, "url: port 0; allowed: 1 to 65535"},
		"user":           {Config{URL: "https://me:hunter2@a/"}, "url: holds a user or password; put them into headers or bearer_file"},
		"fragment":       {Config{URL: "https://a/#top"}, "url: holds a fragment (#), which is never sent; leave it out"},
		"empty fragment": {Config{URL: "https://a/#"}, "url: holds a fragment (#), which is never sent; leave it out"},
		"denied url": {Config{URL: "http://[::ffff:10.0.0.1]:8080/", PrivateAddresses: Deny},
			"url: ::ffff:10.0.0.1 is a private address, and private_addresses is deny"},
		"timeout":        {Config{URL: ok, Timeout: -time.Second}, "timeout: -1s; allowed: more than 0"},
		"max_per_host":   {Config{URL: ok, MaxPerHost: -1}, "max_per_host: -1; allowed: 1 to 10000"},
		"many per host":  {Config{URL: ok, MaxPerHost: 10001}, "max_per_host: 10001; allowed: 1 to 10000"},
		"addresses":      {Config{URL: ok, PrivateAddresses: "no"}, `private_addresses: "no"; allowed: allow, deny`},
		"max_result":     {Config{URL: ok, MaxResult: 65537}, "max_result: 65537; allowed: 1 to 65536 bytes"},
		"less result":    {Config{URL: ok, MaxResult: -1}, "max_result: -1; allowed: 1 to 65536 bytes"},
		"empty secret":   {Config{URL: ok, Secret: []byte(" \n")}, "secret: holds 0 secrets; allowed: 1 to 8, separated by white space"},
		"many secrets":   {Config{URL: ok, Secret: []byte(strings.Repeat("s ", 9))}, "secret: holds 9 secrets; allowed: 1 to 8, separated by white space"},
		"broken secret":  {Config{URL: ok, Secret: []byte("fine\nwhsec_hunter.2")}, "secret: number 2 starts with whsec_ but is not base64 after it; make one with: echo whsec_$(openssl rand -base64 32)"},
		"nothing after":  {Config{URL: ok, Secret: []byte("whsec_")}, "secret: number 1 starts with whsec_ but is not base64 after it; make one with: echo whsec_$(openssl rand -base64 32)"},
		"header name":    {Config{URL: ok, Headers: map[string]string{"a b": "c"}}, "headers: name \"a b\"; allowed: letters, digits and any of !#$%&'*+-.^_`|~"},
		"header value":   {Config{URL: ok, Headers: map[string]string{"x-a": "hunter2\r\nhost: b"}}, "headers: the value of X-A is empty, or holds line ends or control characters"},
		"empty value":    {Config{URL: ok, Headers: map[string]string{"x-a": " "}}, "headers: the value of X-A is empty, or holds line ends or control characters"},
		"header twice":   {Config{URL: ok, Headers: map[string]string{"X-A": "1", "x-a": "2"}}, "headers: X-A is given twice"},
		"host":           {Config{URL: ok, Headers: map[string]string{"host": "b"}}, "headers: Host is set by the handler itself"},
		"our header":     {Config{URL: ok, Headers: map[string]string{"tidemill-kind": "b"}}, "headers: Tidemill-Kind is set by the handler itself"},
		"signature":      {Config{URL: ok, Headers: map[string]string{"webhook-signature": "b"}}, "headers: Webhook-Signature is set by the handler itself"},
		"bearer":         {Config{URL: ok, Bearer: []byte("")}, "bearer: is empty, or holds spaces, line ends or control characters"},
		"bearer's space": {Config{URL: ok, Bearer: []byte("a b")}, "bearer: is empty, or holds spaces, line ends or control characters"},
		"bearer twice": {Config{URL: ok, Bearer: []byte("t"), Headers: map[string]string{"authorization": "Basic x"}},
			"bearer: is given, and headers set Authorization too; allowed: one of them"},
		"user agent":      {Config{URL: ok, UserAgent: "a\nb"}, "user_agent: holds line ends or control characters"},
		"ca_file gone":    {Config{URL: ok, CAFile: gone}, "ca_file: stat " + gone + ": no such file or directory"},
		"ca_file no PEM":  {Config{URL: ok, CAFile: notPEM}, "ca_file: " + notPEM + " holds no PEM certificate"},
		"ca_file of http": {Config{URL: "http://a/", CAFile: notPEM}, "ca_file: is given, and url is http; allowed: with https"},
		"all at once": {Config{URL: "ftp://me@a/#x", Timeout: -1, Secret: []byte{}},
			`timeout: -1ns; allowed: more than 0; url: scheme "ftp"; allowed: http, https; ` +
				"url: holds a user or password; put them into headers or bearer_file; url: holds a fragment (#), which is never sent; leave it out; " +
				"secret: holds 0 secrets; allowed: 1 to 8, separated by white space"},
	} {
		_, err := New(c.config)
		var faults Faults
		if !errors.As(err, &faults) || err.Error() != c.want {
			t.Errorf("%s:\n got %v\nwant %s", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter") {
			t.Errorf("%s: a secret is shown: %v", name, err)
		}
	}
}

func TestDefaults(t *testing.T) {
	h := newTest(t, Config{URL: "HTTPS://App.Internal/Hooks?a=b"})
	c := h.config
	if c.Timeout != 30*time.Second || c.MaxPerHost != 20 || c.PrivateAddresses != Allow || c.MaxResult != 64<<10 {
		t.Errorf("defaults are %+v", c)
	}
	if h.place != "app.internal:443" || h.origin != "https://App.Internal" {
		t.Errorf("place %q, origin %q", h.place, h.origin)
	}
	for url, want := range map[string]string{
		"http://a": "a:80", "http://a:443": "a:443", "https://A:443/x": "a:443", "http://[::1]:9": "::1:9",
	} {
		if got := newTest(t, Config{URL: url}).place; got != want {
			t.Errorf("%s: place %q, want %q", url, got, want)
		}
	}
}
