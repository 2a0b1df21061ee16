package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/internal/redistest"
)

// The commands of docs/topics.md work, in their order, each with exit code 0.
func TestTopicsGuide(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "topics.md"))
	if err != nil {
		t.Fatal(err)
	}
	srv := redistest.Server(t)
	client := openTopics(t, srv.URL())
	publish(t, client, "old-orders", "1")
	env := environment(t, "REDIS_URL="+srv.URL())
	env[0] = "PATH=" + filepath.Dir(workerPath) + string(filepath.ListSeparator) + os.Getenv("PATH")
	dir, ran := t.TempDir(), 0
	for _, block := range strings.Split(string(text), "```sh\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		if strings.Contains(block, "worker topics dead") { // what a consumer in Go did meanwhile
			giveUp(t, client, "orders", "billing", 2)
		}
		for command := range strings.Lines(block) {
			cmd := exec.Command("sh", "-c", command)
			cmd.Env, cmd.Dir = env, dir
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s%v\n%s", command, err, out)
			}
			ran++
		}
	}
	if ran < 15 {
		t.Errorf("only %d commands found", ran)
	}
	if g := groupInfo(t, client, "orders", "billing"); g.Dead != 0 || g.Lag != 2 {
		t.Errorf("%+v; want the dead given back", g)
	}
	all, err := client.Streams().List(t.Context())
	if err != nil || strings.Join(all, " ") != "orders" {
		t.Errorf("topics: %v, %v; the guide has deleted old-orders", all, err)
	}
	info, err := client.Streams().Info(t.Context(), "orders")
	if err != nil || len(info.Groups) != 1 || info.KeepCount != 1_000_000 {
		t.Errorf("%+v, %v; the guide has deleted the group shipping", info, err)
	}
}
