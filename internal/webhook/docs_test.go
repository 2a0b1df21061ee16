package webhook

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// block is a piece of code of docs/webhooks.md.
func block(t *testing.T, language string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/webhooks.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "```"+language+"\n")
	code, _, closed := strings.Cut(rest, "\n```\n")
	if !found || !closed {
		t.Fatalf("docs/webhooks.md has no block of %s", language)
	}
	return code + "\n"
}

// signed is a request as a receiver gets it.
func signed(t *testing.T, secret string) request {
	t.Helper()
	srv, got := record(t, nil)
	if err := handle(t, newTest(t, Config{URL: srv.URL, Secret: []byte(secret)}), newJob()); err != nil {
		t.Fatal(err)
	}
	return <-got
}

// tool finds a program that a reader of the docs may have. Nothing of ours is missing where it is.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("not run: no %s; install it: apt-get install -y %s", name, name)
	}
	return path
}

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// TestDocsGo: the code of the docs is that of the example, which is tested.
func TestDocsGo(t *testing.T) {
	source, err := os.ReadFile("../../examples/webhooks/receiver.go")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(source), block(t, "go")) {
		t.Error("verify in docs/webhooks.md is not that of examples/webhooks/receiver.go")
	}
}

func TestDocsPython(t *testing.T) {
	python := tool(t, "python3")
	r := signed(t, secret+" whsec_bmV3")
	header := r.Header
	for name, c := range map[string]struct {
		secret, stamp, body string
		want                string
	}{
		"right":         {secret, header.Get(headerTimestamp), string(r.body), "verified\n"},
		"second secret": {"whsec_bmV3", header.Get(headerTimestamp), string(r.body), "verified\n"},
		"wrong secret":  {"whsec_b2xk", header.Get(headerTimestamp), string(r.body), "no signature matches\n"},
		"wrong body":    {secret, header.Get(headerTimestamp), string(r.body) + " ", "no signature matches\n"},
		"replayed":      {secret, "1614265330", string(r.body), "too old, or from the future\n"},
	} {
		cmd := exec.Command(python, "-c", block(t, "python")+`
import sys
try:
    verify(sys.argv[1], {"webhook-id": sys.argv[2], "webhook-timestamp": sys.argv[3], "webhook-signature": sys.argv[4]}, sys.stdin.buffer.read())
    print("verified")
except ValueError as e:
    print(e)
`, c.secret, header.Get(headerID), c.stamp, header.Get(headerSignature))
		cmd.Stdin = strings.NewReader(c.body)
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != c.want {
			t.Errorf("%s: %v, %q", name, err, out)
		}
	}
}

func TestDocsOpenSSL(t *testing.T) {
	tool(t, "openssl")
	r := signed(t, secret)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "body.json"), r.body, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-ec", block(t, "sh"))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "SECRET="+secret, "ID="+r.Header.Get(headerID), "TIMESTAMP="+r.Header.Get(headerTimestamp))
	out, err := cmd.CombinedOutput()
	if want := r.Header.Get(headerSignature); err != nil || "v1,"+strings.TrimSpace(string(out)) != want {
		t.Errorf("%v, %q, want %q", err, out, want)
	}
}
