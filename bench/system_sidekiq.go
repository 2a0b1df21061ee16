package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// rubyDir is where Sidekiq has its steps, seen from the directory of this program.
const rubyDir = "ruby"

// sidekiqSystem is Sidekiq, where Ruby and it are found: its steps are those of ruby/steps.rb.
type sidekiqSystem struct{}

// sidekiqVersion asks Ruby.
var sidekiqVersion = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("ruby", "-e", `require "sidekiq"; print Sidekiq::VERSION, ", Ruby ", RUBY_VERSION`).CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil {
		first, _, _ := strings.Cut(text, "\n")
		return "unknown", fmt.Errorf("ruby and its sidekiq (Debian: ruby-sidekiq): %w %s", err, first)
	}
	return text, nil
})

func (sidekiqSystem) Version() string {
	version, _ := sidekiqVersion() // Missing tells the error
	return version
}

func (sidekiqSystem) Command(ctx context.Context, step string, spec stepSpec) (*exec.Cmd, error) {
	order, err := json.Marshal(spec)
	return exec.CommandContext(ctx, "ruby", filepath.Join(rubyDir, "steps.rb"), step, string(order)), err
}

func (sidekiqSystem) Missing() error {
	_, err := sidekiqVersion()
	return err
}

// Skips says what it cannot do.
func (sidekiqSystem) Skips(measure string) string {
	switch measure {
	case "recovery":
		return "what it has popped is gone when it is killed (not with Sidekiq Pro)"
	}
	return ""
}
