// Package redisserver launches a real redis-server or valkey-server as a child
// process. `worker dev` uses it to give a newcomer a durable Redis with no
// set-up, and internal/redistest builds every test against a real server on it.
package redisserver

import "os/exec"

// binaries are the programs that Find looks for, best known first.
var binaries = []string{"redis-server", "valkey-server"}

// Find returns the path of the first of redis-server and valkey-server that
// PATH holds. It is safe for concurrent use.
func Find() (path string, ok bool) {
	for _, name := range binaries {
		if path, err := exec.LookPath(name); err == nil {
			return path, true
		}
	}
	return "", false
}
