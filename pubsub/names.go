package pubsub

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxName is the longest name of a topic or pattern, in bytes.
const MaxName = 255

// checkName refuses what cannot be shown, logged or typed as the name of a topic. Characters that mean something in a
// pattern are fine.
func checkName(field, name string) error {
	allowed := fmt.Sprintf("1 to %d bytes of UTF-8 text without control characters", MaxName)
	if name == "" || len(name) > MaxName {
		return invalid(field, fmt.Sprintf("%.140q (%d bytes)", name, len(name)), allowed)
	}
	if !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return invalid(field, fmt.Sprintf("%q", name), allowed)
	}
	return nil
}
