package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/internal/workerfile"
)

// TestFiles: the worker takes the example's file, and the one of docs/webhooks.md.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "hook.secret")
	if err := os.WriteFile(secret, []byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOOKS_SECRET_FILE", secret)
	docs, err := os.ReadFile("../../docs/webhooks.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(docs), "```yaml\n")
	yaml, _, found := strings.Cut(rest, "```\n")
	ours := filepath.Join(dir, "worker.yaml")
	if err := os.WriteFile(ours, []byte(yaml), 0o600); err != nil || !found {
		t.Fatalf("no yaml in docs/webhooks.md (%v)", err)
	}
	for _, path := range []string{"worker.yaml", ours} {
		file, err := workerfile.Load(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if len(file.Handlers) != 1 || file.Handlers[0].HTTP == nil || file.Handlers[0].HTTP.Signing() == nil {
			t.Errorf("%s: %+v", path, file.Handlers)
		}
	}
}
