package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/internal/redistest"
)

// TestReadme holds the README's quickstart against this program, which TestRun runs.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), "```go\n"+string(program)+"```") {
		t.Error("README.md does not hold examples/quickstart/main.go word for word")
	}
}

func TestRun(t *testing.T) {
	srv := redistest.Server(t)
	cmd := exec.Command("go", "run", ".")
	cmd.Env = append(os.Environ(), "REDIS_URL="+srv.URL())
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "resizing a.png to 64 px\nresizing b.png to 128 px\n" {
		t.Fatalf("%v\n%s", err, out)
	}
}
