package redisserver

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestOptionsReportEveryFault(t *testing.T) {
	_, err := Start(t.Context(), Options{
		Binary: "/nonexistent/redis-server", Port: -1, AppendOnly: true, AppendFsync: "sometimes",
		Extra: []string{"a\nb"},
	})
	if err == nil {
		t.Fatal("started")
	}
	for _, part := range []string{"binary", "port -1", `"sometimes"`, "Dir", "line break"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error lacks %q: %v", part, err)
		}
	}
}

func TestOptionsWithoutBinary(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if path, ok := Find(); ok {
		t.Errorf("found %q on an empty PATH", path)
	}
	if _, err := Start(t.Context(), Options{}); err == nil || !strings.Contains(err.Error(), "valkey-server") {
		t.Errorf("error %v does not say what is missing", err)
	}
}

func TestConfigText(t *testing.T) {
	o := Options{AppendOnly: true, AppendFsync: "always", UnixSocket: `/a "b"\c`, Extra: []string{"maxmemory 10mb"}}
	got := o.config(1234, "/d e")
	for _, line := range []string{
		"port 1234", "bind 127.0.0.1", `dir "/d e"`, `save ""`, "appendonly yes", "appendfsync always",
		`unixsocket "/a \"b\"\\c"`,
	} {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("config lacks %q:\n%s", line, got)
		}
	}
	if !strings.HasSuffix(got, "\nmaxmemory 10mb\n") {
		t.Errorf("the extra line is not the last:\n%s", got)
	}
}

func TestExtraFindsTheLastSetting(t *testing.T) {
	o := Options{Extra: []string{"requirepass one", ` RequirePass   "two words"`, "masterauth x"}}
	if got := o.extra("requirepass"); got != "two words" {
		t.Errorf("got %q", got)
	}
	if got := o.extra("port"); got != "" {
		t.Errorf("got %q for a setting that is not there", got)
	}
}

func TestTailKeepsTheLastLines(t *testing.T) {
	tl := &tail{}
	for i := range 3 * tailLines {
		fmt.Fprintf(tl, "line %d\r\n", i)
	}
	fmt.Fprint(tl, "unfinished")
	lines := strings.Split(tl.String(), "\n")
	if len(lines) != tailLines+1 || lines[0] != "line 40" || lines[tailLines] != "unfinished" {
		t.Errorf("got %d lines: %q", len(lines), lines)
	}
}

func TestSentinel(t *testing.T) {
	data := start(t, Options{})
	s := start(t, Options{Sentinel: true, Dir: t.TempDir(), Extra: []string{fmt.Sprintf("sentinel monitor x 127.0.0.1 %d 1", data.Port())}})
	for range 2 { // it writes to its configuration, and starts anew all the same
		if got, err := do(t, s, 5*time.Second, "INFO", "sentinel"); err != nil || !strings.Contains(got, "name=x") {
			t.Errorf("%q, %v", got, err)
		}
		if err := s.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, bad := range []Options{{Sentinel: true}, {Sentinel: true, Dir: t.TempDir(), AppendOnly: true}} {
		if _, err := Start(t.Context(), bad); err == nil || !strings.Contains(err.Error(), "Sentinel needs a folder") {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
