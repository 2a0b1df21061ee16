package broker

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tidemill/tidemill/internal/conn"
	"github.com/tidemill/tidemill/internal/script"
)

var (
	// ErrFull says that Redis is at maxmemory and took nothing.
	ErrFull = conn.ErrFull
	// ErrLost says that the session is gone: what it ran was or will be recovered, and its writes are refused.
	ErrLost = errors.New("session lost")
	// ErrStale says that a newer call of the same lane came first; nothing was done.
	ErrStale = errors.New("superseded by a newer call")
	// ErrExpired says that an operator's call arrived too late to be carried out; nothing was done.
	ErrExpired = errors.New("the call arrived too late and was not carried out")
	// ErrBadReply says that Redis answered something that no script of ours answers.
	ErrBadReply = script.ErrBadReply
)

// KeyTypeError says that a key holds another type than ours: nothing was moved, and the queue can't work until the key
// is renamed or deleted.
type KeyTypeError = script.KeyTypeError

// typed turns the text of an error reply into an error that callers can tell apart. OOM texts may carry a script's
// name and line, so they are looked for and not matched.
func typed(text string) error {
	text = strings.TrimPrefix(text, "-")
	word, rest, _ := strings.Cut(text, " ")
	switch word {
	case "LOST":
		return ErrLost
	case "STALE":
		return ErrStale
	case "EXPIRED":
		return ErrExpired
	case "WRONGKEY":
		return &KeyTypeError{Key: rest}
	case "OOM":
		return fmt.Errorf("%w: %w", ErrFull, script.Error(text))
	}
	if strings.Contains(text, "OOM command not allowed") {
		return fmt.Errorf("%w: %w", ErrFull, script.Error(text))
	}
	return script.Error(text)
}
