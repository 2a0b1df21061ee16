package script

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// Command is a call on its way through go-redis, and where its undecoded reply gathers. The client never sends it again by
// itself once it may have been carried out: whether it was is for the caller to tell, who repeats it where that is safe.
type Command struct {
	redis.Cmder
	raw *Sink // nil where the client decodes
}

// Decoded is a command that the client decodes, and follows redirections with.
type Decoded struct{ *redis.Cmd }

// NoRetry is what go-redis asks.
func (Decoded) NoRetry() bool { return true }

// NewCommand makes one. Decodes says that the client must decode replies itself, to follow redirections. The hint, if there is
// one, is the size of the last large reply of the kind.
func NewCommand(ctx context.Context, decodes bool, hint *atomic.Int64, args ...any) Command {
	if decodes {
		return Command{Cmder: Decoded{Cmd: redis.NewCmd(ctx, args...)}}
	}
	raw := newSink(hint)
	return Command{Cmder: redis.NewRawWriteToCmd(ctx, raw, args...), raw: raw}
}

// Decodes tells whether replies over a client must be decoded by it.
func Decodes(rdb redis.UniversalClient) bool {
	_, plain := Inner(rdb).(*redis.Client)
	return !plain
}

// Inner answers the client that a wrapped one stands for.
func Inner(rdb redis.UniversalClient) redis.UniversalClient {
	if w, ok := rdb.(interface{ Unwrap() redis.UniversalClient }); ok {
		return w.Unwrap()
	}
	return rdb
}

// Error is an error reply as it came.
type Error string

func (e Error) Error() string { return string(e) }

// RedisError marks it as an answer of the server, as go-redis does.
func (e Error) RedisError() {}

// KeyTypeError says that a key holds another type than ours; nothing was changed.
type KeyTypeError struct{ Key string }

func (e *KeyTypeError) Error() string {
	return fmt.Sprintf("key %q holds another type than Tidemill's; rename or delete it, nothing was changed", e.Key)
}

// Answer reads the outcome of a processed command, whose processing ended with err. An error reply is a redis.Error.
func (c Command) Answer(err error) (*Reply, error) {
	if err == nil {
		err = c.Err()
	}
	if err != nil {
		return nil, err
	}
	var raw []byte
	if c.raw != nil {
		raw = c.raw.bytes()
	} else if decoded, ok := c.Cmder.(Decoded); ok {
		raw = AppendRESP(nil, decoded.Val())
	}
	if len(raw) > 2 && raw[0] == '-' {
		return nil, Error(strings.TrimSuffix(string(raw[1:]), "\r\n"))
	}
	return &Reply{B: raw}, nil
}

// Piped is Answer for a command of a pipeline, whose first error is given.
func (c Command) Piped(execErr error) (*Reply, error) {
	err := c.Err()
	if c.raw != nil && err == nil && len(c.raw.b) == 0 {
		err = execErr // the pipeline broke before it came to this call
	}
	return c.Answer(err)
}
