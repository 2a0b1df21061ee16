// Package python finds a Python that can be measured.
package python

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// versions says what there is; only redis.asyncio must be.
const versions = `
import importlib.metadata as m, platform
import redis.asyncio
print(platform.python_version(), *(f"{n} {m.version(n)}" for n in ("redis", "hiredis", "uvloop") if any(m.distributions(name=n))))
`

// Find finds one that has redis.asyncio, the named one or, if none is named, one on PATH or in /usr/bin, and tells the
// versions of what is there.
func Find(ctx context.Context, named string) (path, found string, err error) {
	candidates := []string{"python3", "/usr/bin/python3"}
	if named != "" {
		candidates = []string{named}
	}
	for _, c := range candidates {
		out, failure := exec.CommandContext(ctx, c, "-c", versions).CombinedOutput()
		if failure == nil {
			return c, strings.TrimSpace(string(out)), nil
		}
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		err = errors.Join(err, fmt.Errorf("%s: %w: %s", c, failure, lines[len(lines)-1]))
	}
	return "", "", err
}
