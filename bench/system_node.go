package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// nodeDir is where the systems on Node have their steps, seen from the
// directory of this program, and where npm puts them.
const nodeDir = "node"

// nodeSystem is a system on Node: its steps are those of node/steps.mjs.
type nodeSystem string

func (n nodeSystem) Version() string {
	var manifest struct {
		Version string `json:"version"`
	}
	data, err := os.ReadFile(n.manifest())
	if err == nil {
		err = json.Unmarshal(data, &manifest)
	}
	if err != nil {
		return "unknown"
	}
	return manifest.Version
}

func (n nodeSystem) Command(ctx context.Context, step string, spec stepSpec) (*exec.Cmd, error) {
	order, err := json.Marshal(spec)
	return exec.CommandContext(ctx, "node", filepath.Join(nodeDir, "steps.mjs"), step, string(order)), err
}

func (n nodeSystem) manifest() string {
	return filepath.Join(nodeDir, "node_modules", string(n), "package.json")
}

// Missing says why it cannot be measured here, or nil.
func (n nodeSystem) Missing() error {
	if _, err := exec.LookPath("node"); err != nil {
		return err
	}
	if _, err := os.Stat(n.manifest()); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is not there: run npm install in %s", n.manifest(), nodeDir)
	}
	return nil
}
