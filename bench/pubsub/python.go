package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"os/exec"
)

// pythonListener is a subscriber in Python, which gets its order as its argument and does what listenStep does.
//
//go:embed listen.py
var pythonListener string

// pythonCommand is the command of a subscriber.
func pythonCommand(ctx context.Context, python string, spec listenSpec) (*exec.Cmd, error) {
	order, err := json.Marshal(spec)
	return exec.CommandContext(ctx, python, "-c", pythonListener, string(order)), err
}
