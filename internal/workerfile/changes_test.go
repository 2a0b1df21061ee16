package workerfile

import (
	"fmt"
	"slices"
	"testing"
)

func TestChanges(t *testing.T) {
	for _, tt := range []struct {
		name, was, now string
		want           []string
	}{
		{"nothing", "exec: {command: [a], timeout: 5s}", "exec: {timeout: 5000ms, command: [\"a\"]}", nil},
		{"nothing but form", "exec: {command: [a], env: []}\n    retry: {}", "exec: {command: [a]}", nil},
		{"values", "exec: {command: [a, b], timeout: 5s}\n    retry: {jitter: 0, max_attempts: 3}", "exec: {command: [a], kill_after: 1s}\n    retry: {factor: 3, max_attempts: 4}\n    retain: 0s",
			[]string{"exec.command [a b] -> [a]", "exec.timeout 5s -> unset", "exec.kill_after unset -> 1s", "retry.max_attempts 3 -> 4", "retry.factor unset -> 3", "retry.jitter 0 -> unset", "retain unset -> 0s"}},
		{"a policy is no more than what is in it", "builtin: log", "builtin: noop\n    retry: {base: 2s}", []string{"builtin log -> noop", "retry.base unset -> 2s"}},
		{"another way", "exec: {command: [a]}", "http: {url: \"http://h\"}", []string{"exec is gone", "http is new"}},
		{"secrets", "exec: {command: [a], env: [A=s3cret]}", "exec: {command: [a], env: [A=b], pass_env: [C]}", []string{"exec.env changed", "exec.pass_env unset -> [C]"}},
		{"secrets of http", "http: {url: \"http://h/s3cret\", secret: s3cret, headers: {A: s3cret}, max_result: 10}", "http: {url: \"http://h/x\", secret: y, headers: {A: z}}",
			[]string{"http.url changed", "http.secret changed", "http.headers changed", "http.max_result 10 -> unset"}},
		{"a variable", "exec: {command: [a, \"--token=${SPY}\"]}\n    timeout: ${T}", "exec: {command: [a, --token=b]}", []string{"exec.command changed", "timeout changed"}},
	} {
		file := func(body string) *File {
			s := text("handlers:\n  \"x.*\":\n    " + body + "\n")
			lookup := s.Lookup
			s.Lookup = func(name string) (string, bool) {
				if name == "T" {
					return "5s", true
				}
				return lookup(name)
			}
			f, err := Parse(s)
			if err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			return f
		}
		var want []string
		for _, line := range tt.want {
			want = append(want, `handlers."x.*".`+line)
		}
		if got := Changes(file(tt.was), file(tt.now), "x.*", func(v any) string { return fmt.Sprint(v) }); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", tt.name, got, want)
		}
	}
}

// Files are named once and may hold something else the next time.
func TestChangedContent(t *testing.T) {
	file := func(secret string) *File {
		s := text("handlers: {x: {http: {url: \"http://h\", secret_file: pw, bearer_file: pw}}}\n")
		s.Read = func(string) ([]byte, error) { return []byte(secret), nil }
		f, err := Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	got := Changes(file("one"), file("two"), "x", nil)
	if want := []string{"handlers.x.http.secret_file: its content changed", "handlers.x.http.bearer_file: its content changed"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := Changes(file("one"), file("one"), "x", nil); got != nil {
		t.Errorf("%q", got)
	}
}

// What others find is told with the rest, but not what a fault of the file brought about.
func TestChecks(t *testing.T) {
	s := text("handlers:\n  x: {exec: {comand: [a], env: [\"A=1\"], timeout: 5}}\n  y: {exec: {command: [a]}}\n")
	s.Checks = []Check{func(f *File, h *Handler) []Fault {
		at := Field("handlers", h.Kind, "exec")
		return []Fault{f.Fault(at+".command", "is bad"), f.Fault(at+".env", "is bad"), f.Fault(at+".timeout", "is bad"), f.Fault(at+".kill_after", "is bad"), f.Fault(at+".env", "is bad twice")}
	}}
	_, err := Parse(s)
	const want = `worker.yaml:2:14: handlers.x.exec.comand: unknown field; did you mean command? allowed: command, env, pass_env, timeout, kill_after
worker.yaml:2:32: handlers.x.exec.env: is bad
worker.yaml:2:32: handlers.x.exec.env: is bad twice
worker.yaml:2:50: handlers.x.exec.timeout: 5 has no unit; write such as 5s
worker.yaml:3:13: handlers.y.exec.env: is bad
worker.yaml:3:13: handlers.y.exec.timeout: is bad
worker.yaml:3:13: handlers.y.exec.kill_after: is bad
worker.yaml:3:13: handlers.y.exec.env: is bad twice
worker.yaml:3:23: handlers.y.exec.command: is bad`
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
}
