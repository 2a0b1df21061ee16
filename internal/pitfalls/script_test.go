package pitfalls

import (
	"crypto/sha1"
	"encoding/hex"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/internal/redistest"
)

// script chooses the calls of some of a worker's scripts, by digest or by source.
func script(t *testing.T, names ...string) redistest.Pred {
	t.Helper()
	var words []string
	for _, name := range names {
		source := ""
		parts := []string{"basics", "prelude", "moves", name}
		if name == "exchange" {
			parts = []string{"library", "basics", "prelude", "moves", "exchange_seldom", "library_end", name}
		}
		for _, part := range parts {
			b, err := os.ReadFile("../broker/lua/" + part + ".lua")
			if err != nil {
				t.Fatal(err)
			}
			source += string(b)
		}
		sum := sha1.Sum([]byte(source))
		words = append(words, source, hex.EncodeToString(sum[:]))
	}
	return func(cmd string, args []string) bool {
		return strings.HasPrefix(cmd, "EVAL") && slices.Contains(words, args[0])
	}
}

// acks chooses exchanges that acknowledge something, claims those that ask for jobs: an exchange's argument 9 (after its
// 25 keys) holds the ids acknowledged, argument 4 how many jobs are wanted.
func acks(t *testing.T) redistest.Pred {
	return exchange(t, func(argv []string) bool { return argv[8] != "" })
}
func claims(t *testing.T) redistest.Pred {
	return exchange(t, func(argv []string) bool { return argv[3] != "0" })
}

func anything([]string) bool { return true }

func exchange(t *testing.T, also func(argv []string) bool) redistest.Pred {
	t.Helper()
	p := script(t, "exchange")
	return func(cmd string, args []string) bool {
		const keys = 25
		return p(cmd, args) && args[1] == "25" && also(args[2+keys:])
	}
}
