package main

import (
	"context"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"sync"

	"github.com/tidemill/tidemill/bench/internal/python"
)

// pythonDir is where the loop in Python has its steps, seen from the directory of this program.
const pythonDir = "python"

// pythonSystem is a plain loop in Python: its steps are those of python/steps.py.
type pythonSystem struct{}

// thePython is that which is found.
var thePython = sync.OnceValues(func() ([2]string, error) {
	path, versions, err := python.Find(context.Background(), "")
	return [2]string{path, versions}, err
})

func (pythonSystem) Version() string {
	found, err := thePython()
	if err != nil {
		return "unknown"
	}
	return found[1]
}

func (pythonSystem) Command(ctx context.Context, step string, spec stepSpec) (*exec.Cmd, error) {
	found, err := thePython()
	if err != nil {
		return nil, err
	}
	order, err := json.Marshal(spec)
	return exec.CommandContext(ctx, found[0], filepath.Join(pythonDir, "steps.py"), step, string(order)), err
}

func (pythonSystem) Missing() error {
	_, err := thePython()
	return err
}

// Skips says what it cannot do.
func (pythonSystem) Skips(measure string) string {
	switch measure {
	case "recovery":
		return "what it has popped is gone when it is killed"
	}
	return ""
}
