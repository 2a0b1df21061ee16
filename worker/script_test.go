package worker

import (
	"crypto/sha1"
	"encoding/hex"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
)

var (
	sourcesMu sync.Mutex
	sources   = make(map[string]string)
)

// source is the text of a script as it is sent.
func source(name string) string {
	sourcesMu.Lock()
	defer sourcesMu.Unlock()
	if sources[name] == "" {
		parts := []string{"basics", "prelude", "moves", name}
		switch name {
		case "enqueue":
			parts = []string{"basics", name}
		case "exchange":
			parts = []string{"library", "basics", "prelude", "moves", "exchange_seldom", "library_end", name}
		}
		for _, part := range parts {
			b, err := os.ReadFile("../internal/broker/lua/" + part + ".lua")
			if err != nil {
				panic(err) // a script was renamed: the test has to follow
			}
			sources[name] += string(b)
		}
	}
	return sources[name]
}

// script chooses the calls of the named scripts, by digest or by source.
func script(names ...string) redistest.Pred {
	var words []string
	for _, name := range names {
		words = append(words, source(name), digestOf(name))
	}
	return func(cmd string, args []string) bool {
		return strings.HasPrefix(cmd, "EVAL") && slices.Contains(words, args[0])
	}
}

// about narrows a choice to commands with an argument that contains text: a session, say.
func about(text func() string, p redistest.Pred) redistest.Pred {
	return func(cmd string, args []string) bool {
		return p(cmd, args) && slices.ContainsFunc(args, func(arg string) bool { return strings.Contains(arg, text()) })
	}
}

// delayed delays the replies to the commands chosen.
func delayed(p redistest.Pred, d time.Duration) func(string, []string) time.Duration {
	return func(cmd string, args []string) time.Duration {
		if p(cmd, args) {
			return d
		}
		return 0
	}
}

func digestOf(name string) string {
	sum := sha1.Sum([]byte(source(name)))
	return hex.EncodeToString(sum[:])
}
