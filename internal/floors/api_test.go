package floors

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/api anew: the public API changed on purpose")

// TestPublicAPI makes every change of the public API a decision: docs/api holds what go doc says of each package.
func TestPublicAPI(t *testing.T) {
	for _, name := range []string{"queue", "pubsub", "pubsub/metrics", "pubsub/pubsubtest", "worker", "worker/metrics"} {
		got, err := exec.Command("go", "doc", "-all", "../../"+name).Output()
		if err != nil {
			t.Fatalf("go doc %s: %v", name, err)
		}
		path := filepath.Join("..", "..", "docs", "api", strings.ReplaceAll(name, "/", "-")+".txt")
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("the public API of %s is not what %s says; if that is meant: go test ./internal/floors -update", name, path)
		}
	}
}
