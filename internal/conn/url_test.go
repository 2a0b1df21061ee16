package conn

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestURLForms(t *testing.T) {
	for _, c := range []struct {
		url, network, addr, user, password string
		db                                 int
		tls                                bool
	}{
		{"redis://localhost", "tcp", "localhost:6379", "", "", 0, false},
		{"redis://", "tcp", "localhost:6379", "", "", 0, false},
		{"redis://:6380", "tcp", "localhost:6380", "", "", 0, false},
		{"redis://u:p%40ss%2Fx@example.com:7000/3", "tcp", "example.com:7000", "u", "p@ss/x", 3, false},
		{"redis://[::1]:6380/?db=2", "tcp", "[::1]:6380", "", "", 2, false},
		{"rediss://h:1/?skip_verify=true", "tcp", "h:1", "", "", 0, true},
		{"unix:///run/redis.sock?db=4", "unix", "/run/redis.sock", "", "", 4, false},
		{"unix://u:p@/run/redis.sock", "unix", "/run/redis.sock", "u", "p", 0, false},
		{"redis://u:p@h/0?client_name=a@b", "tcp", "h:6379", "u", "p", 0, false},
		{"redis://h?max_retries=-1&protocol=2", "tcp", "h:6379", "", "", 0, false},
	} {
		to, err := parseURL(c.url)
		if err != nil {
			t.Errorf("%s: %v", c.url, err)
			continue
		}
		if opt := to.opt; opt.Network != c.network || opt.Addr != c.addr || opt.Username != c.user || opt.Password != c.password ||
			opt.DB != c.db || (opt.TLSConfig != nil) != c.tls {
			t.Errorf("%s: got %s %s %q %q db %d", c.url, opt.Network, opt.Addr, opt.Username, opt.Password, opt.DB)
		}
	}
	to, err := parseURL("redis://h?read_timeout=3&pool_size=7&dial_timeout=100ms")
	if err != nil {
		t.Fatal(err)
	}
	if opt := to.opt; opt.ReadTimeout != 3*time.Second || opt.PoolSize != 7 || opt.DialTimeout != 100*time.Millisecond {
		t.Errorf("parameters: %v", err)
	}
}

func TestURLFaultsNameTheValue(t *testing.T) {
	for url, words := range map[string][]string{
		"localhost:6379":                     {"://", "redis://"},
		"http://h":                           {`"http"`, "redis, rediss, unix"},
		"redis://u:s3cr3t@h:port":            {`":port"`},
		"redis://u:s3cr3t@h:70000":           {`"70000"`, "65535"},
		"redis://u:s3cr3t@h:0":               {`"0"`, "65535"},
		"redis://u:s3cr3t@h/abc":             {`"abc"`, "number"},
		"redis://u:s3cr3t@h/1/2":             {`"1/2"`, "number"},
		"redis://u:s3cr3t@h/-1":              {`"-1"`},
		"redis://u:s3cr3t@h/?db=x":           {`"x"`},
		"redis://u:s3cr3t@h/1?db=2":          {`"1"`, `"2"`},
		"redis://u:s3cr3t@h/?pool=3":         {`"pool"`, "pool_size"},
		"redis://u:s3cr3t@h/?pool_size=x":    {"pool_size", `"x"`},
		"redis://u:s3cr3t@h/?pool_size=-3":   {"pool_size", "-3"},
		"redis://h?pool_size=1&pool_size=2":  {"pool_size", "2 times"},
		"redis://u:s3cr3t@h/?max_retries=3":  {"max_retries=3", "twice"},
		"redis://u:s3cr3t@h/?protocol=3":     {"protocol=3", "RESP2"},
		"redis://u:s3cr3t@h/?read_timeout=0": {"read_timeout", "above 0"},
		"redis://h?skip_verify=true":         {"skip_verify", "rediss"},
		"unix://run/redis.sock":              {"unix:///path", "unix://run/redis.sock"},
		"unix://":                            {"unix:///path"},
		"redis://u:s3cr3t@h/?a=%zz":          {"%zz"},
		// an unencoded character in the password: say so, show nothing
		"redis://u:a/s3cr3t@h:1/0":     {"percent-encode"},
		"redis://u:1/s3cr3t@h:1/0":     {"percent-encode"},
		"redis://u:a?s3cr3t@h:1/0":     {"percent-encode"},
		"redis://u:1?s3cr3t@h:1/0":     {"percent-encode"},
		"redis://u:1#s3cr3t@h:1/0":     {"percent-encode"},
		"redis://u:a#s3cr3t@h:1/0":     {"percent-encode"},
		"redis://u:s3cr3t%zz@h:1/0":    {"percent-encode"},
		"redis://u:s3cr3t x@h:1/0":     {"percent-encode"},
		"redis://u:x@s3cr3t/y@h:1/0":   {"percent-encode"},
		"redis://:s3cr3t":              {"percent-encode"},
		"redis://u:1?s3cr3t=1@h:6379/": {"percent-encode"},
	} {
		_, err := parseURL(url)
		if !errors.Is(err, ErrConfig) {
			t.Errorf("%s: got %v, want ErrConfig", url, err)
			continue
		}
		for _, w := range words {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q lacks %q", url, err, w)
			}
		}
		if strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: %q shows the password", url, err)
		}
	}
}

func FuzzURLNeverShowsThePassword(f *testing.F) {
	f.Add("redis://u:", "@h:1/0")
	f.Add("redis://u:a/", "@h:x/0?pool=1")
	f.Add("unix://u:#", "@/p?db=x")
	f.Fuzz(func(t *testing.T, before, after string) {
		// Only where the secret is in the place of a password: after the user's
		// colon and before the last @.
		if !strings.HasSuffix(before, ":") || !strings.HasPrefix(after, "@") || strings.Contains(before, "@") ||
			strings.Count(before, ":") != 2 || !strings.Contains(before, "://") {
			return
		}
		if _, err := parseURL(before + "s3cr3tX" + after); err != nil && strings.Contains(err.Error(), "s3cr3tX") {
			t.Fatalf("%q: %v", before+"s3cr3tX"+after, err)
		}
	})
}
