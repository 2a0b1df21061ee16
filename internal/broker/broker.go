package broker

import (
	"context"
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/keys"
)

// Broker issues the transitions of one namespace over one client. It holds no state and is safe for concurrent use.
type Broker struct {
	rdb     redis.UniversalClient
	space   keys.Space
	decodes bool // the client must decode replies itself, to follow redirections
}

// New makes a broker over a client, which stays the caller's to close.
func New(rdb redis.UniversalClient, space keys.Space) *Broker {
	inner := rdb
	if w, ok := rdb.(interface{ Unwrap() redis.UniversalClient }); ok {
		inner = w.Unwrap()
	}
	_, plain := inner.(*redis.Client)
	return &Broker{rdb: rdb, space: space, decodes: !plain}
}

// With is the same broker over another client of the same server.
func (b *Broker) With(rdb redis.UniversalClient) *Broker { return New(rdb, b.space) }

// Space is the broker's namespace.
func (b *Broker) Space() keys.Space { return b.space }

// call is one script call that may be sent alone, in a pipeline, or again by its source.
type call struct {
	script *script
	args   []any // EVALSHA, digest, number of keys, keys..., ARGV...
}

// newCall starts a call on a queue's fixed keys and further ones; ARGV is appended to its args.
func newCall(s *script, q *keys.Queue, room int, more ...string) *call {
	fixed := q.Fixed()
	c := &call{script: s, args: make([]any, 0, 3+len(fixed)+len(more)+room)}
	c.args = append(c.args, "EVALSHA", s.digest, len(fixed)+len(more))
	for i := range fixed {
		c.args = append(c.args, fixed[i])
	}
	for _, key := range more {
		c.args = append(c.args, key)
	}
	return c
}

func (c *call) arg(values ...any) { c.args = append(c.args, values...) }

// bySource makes the call carry its script's text: for servers that forgot it, and where no retry is possible.
func (c *call) bySource() { c.args[0], c.args[1] = "EVAL", c.script.source }

// command is a call on its way through go-redis, and where its undecoded reply gathers (nil where the client decodes).
type command struct {
	redis.Cmder
	raw *sink
}

func (b *Broker) command(ctx context.Context, c *call) command {
	if b.decodes {
		return command{Cmder: redis.NewCmd(ctx, c.args...)}
	}
	raw := newSink(&c.script.replySize)
	return command{Cmder: redis.NewRawWriteToCmd(ctx, raw, c.args...), raw: raw}
}

// answer reads the outcome of a processed command.
func (cmd command) answer(err error) (*reply, error) {
	if err == nil {
		err = cmd.Err()
	}
	if err != nil {
		var fromServer redis.Error
		if errors.As(err, &fromServer) {
			return nil, typed(err.Error())
		}
		return nil, err
	}
	var raw []byte
	if cmd.raw != nil {
		raw = cmd.raw.bytes()
	} else if decoded, ok := cmd.Cmder.(*redis.Cmd); ok {
		raw = appendRESP(nil, decoded.Val())
	}
	if len(raw) > 2 && raw[0] == '-' {
		return nil, typed(strings.TrimSuffix(string(raw[1:]), "\r\n"))
	}
	return &reply{b: raw}, nil
}

// do sends one call and answers its reply, sending the source where the server does not know the script.
func (b *Broker) do(ctx context.Context, c *call) (*reply, error) {
	r, err := b.once(ctx, c)
	if err != nil && strings.HasPrefix(err.Error(), "NOSCRIPT") {
		c.bySource()
		r, err = b.once(ctx, c)
	}
	return r, err
}

func (b *Broker) once(ctx context.Context, c *call) (*reply, error) {
	cmd := b.command(ctx, c)
	return cmd.answer(b.rdb.Process(ctx, cmd.Cmder))
}

// results is what each call of a pipeline came to.
type result struct {
	reply *reply
	err   error
}

// doAll sends several calls in one pipeline. Calls whose script the server forgot are sent again by their source.
func (b *Broker) doAll(ctx context.Context, calls []*call) []result {
	out := make([]result, len(calls))
	if len(calls) == 1 {
		out[0].reply, out[0].err = b.do(ctx, calls[0])
		return out
	}
	pipe := b.rdb.Pipeline()
	cmds := make([]command, len(calls))
	for i, c := range calls {
		cmds[i] = b.command(ctx, c)
		_ = pipe.Process(ctx, cmds[i].Cmder) // queues it; errors come with Exec
	}
	_, execErr := pipe.Exec(ctx)
	for i, cmd := range cmds {
		err := cmd.Err()
		if cmd.raw != nil && err == nil && len(cmd.raw.b) == 0 {
			err = execErr // the pipeline broke before it came to this call
		}
		out[i].reply, out[i].err = cmd.answer(err)
		if out[i].err != nil && strings.HasPrefix(out[i].err.Error(), "NOSCRIPT") {
			calls[i].bySource()
			out[i].reply, out[i].err = b.once(ctx, calls[i])
		}
	}
	return out
}
