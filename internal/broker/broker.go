package broker

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/keys"
)

// Broker issues the transitions of one namespace over one client. It holds no state and is safe for concurrent use.
type Broker struct {
	rdb     redis.UniversalClient
	space   keys.Space
	decodes bool                 // the client must decode replies itself, to follow redirections
	cluster *redis.ClusterClient // the client, where it is one,
	single  *redis.Client        // or where it is one of these

	replica bool         // reads are to be marked as such, so that a replica takes them
	plain   *atomic.Bool // the server does not know marked reads, or does not allow them
}

// New makes a broker over a client, which stays the caller's to close.
func New(rdb redis.UniversalClient, space keys.Space) *Broker {
	inner := rdb
	if w, ok := rdb.(interface{ Unwrap() redis.UniversalClient }); ok {
		inner = w.Unwrap()
	}
	single, plain := inner.(*redis.Client)
	cluster, _ := inner.(*redis.ClusterClient)
	return &Broker{rdb: rdb, space: space, decodes: !plain, cluster: cluster, single: single, plain: new(atomic.Bool)}
}

// With is the same broker over another client of the same server.
func (b *Broker) With(rdb redis.UniversalClient) *Broker { return New(rdb, b.space) }

// Reader is the same broker over a client that may lead to replicas: only Get, Counts, List, Queues and Workers are for
// it.
func (b *Broker) Reader(rdb redis.UniversalClient) *Broker {
	reader := b.With(rdb)
	reader.replica, reader.plain = true, b.plain
	return reader
}

// Space is the broker's namespace.
func (b *Broker) Space() keys.Space { return b.space }

// call is one script call that may be sent alone, in a pipeline, or again by its source.
type call struct {
	script *script
	args   []any // EVALSHA, digest, number of keys, keys..., ARGV...
	marked bool  // EVALSHA_RO instead
}

// newCall starts a call on a queue's fixed keys and further ones; ARGV is appended to its args.
func newCall(s *script, q *keys.Queue, room int, more ...string) *call {
	fixed := q.Boxed()
	c := &call{script: s, args: make([]any, 0, 3+len(fixed)+len(more)+room)}
	c.args = append(c.args, "EVALSHA", s.boxed, len(fixed)+len(more))
	c.args = append(c.args, fixed...)
	for _, key := range more {
		c.args = append(c.args, key)
	}
	return c
}

func (c *call) arg(values ...any) { c.args = append(c.args, values...) }

// bySource makes the call carry its script's text: for servers that forgot it, and where no retry is possible.
func (c *call) bySource() {
	c.args[1] = c.script.source
	if c.args[0] = "EVAL"; c.marked {
		c.args[0] = "EVAL_RO"
	}
}

// mark says by the command's name that the call only reads: a Cluster's replicas take no other.
func (c *call) mark(marked bool) {
	if c.marked = marked; marked {
		c.args[0] = "EVALSHA_RO"
	} else {
		c.args[0], c.args[1] = "EVALSHA", c.script.digest
	}
}

// command is a call on its way through go-redis, and where its undecoded reply gathers (nil where the client decodes).
type command struct {
	redis.Cmder
	raw *sink
}

// decodedCmd is a command that the client decodes, and follows redirections with, but never sends again by itself once
// it may have been carried out: whether it was is for the caller to tell, who repeats it where that is safe.
type decodedCmd struct{ *redis.Cmd }

// NoRetry is what go-redis asks.
func (decodedCmd) NoRetry() bool { return true }

func (b *Broker) command(ctx context.Context, c *call) command {
	if b.decodes {
		return command{Cmder: decodedCmd{redis.NewCmd(ctx, c.args...)}}
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
	} else if decoded, ok := cmd.Cmder.(decodedCmd); ok {
		raw = appendRESP(nil, decoded.Val())
	}
	if len(raw) > 2 && raw[0] == '-' {
		return nil, typed(strings.TrimSuffix(string(raw[1:]), "\r\n"))
	}
	return &reply{b: raw}, nil
}

// piped reads the outcome of a command of a pipeline, whose first error is given.
func (cmd command) piped(execErr error) (*reply, error) {
	err := cmd.Err()
	if cmd.raw != nil && err == nil && len(cmd.raw.b) == 0 {
		err = execErr // the pipeline broke before it came to this call
	}
	return cmd.answer(err)
}

// do sends one call and answers its reply, sending the source where the server does not know the script.
func (b *Broker) do(ctx context.Context, c *call) (*reply, error) {
	if b.replica && c.script.reads && !b.plain.Load() {
		c.mark(true)
	}
	r, err := b.bySource(ctx, c)
	if c.marked && err != nil && unmarkable(err.Error()) {
		b.plain.Store(true)
		c.mark(false)
		r, err = b.bySource(ctx, c)
	}
	return r, err
}

// unmarkable tells the answer of a server older than 7.0, of one whose ACL does not know the newer commands, or of the
// embedded one, which takes TIME for a write.
func unmarkable(text string) bool {
	return strings.Contains(text, "unknown command") || strings.HasPrefix(text, "NOPERM") || strings.Contains(text, "read-only scripts")
}

func (b *Broker) bySource(ctx context.Context, c *call) (*reply, error) {
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
		out[i].reply, out[i].err = cmd.piped(execErr)
		if out[i].err != nil && strings.HasPrefix(out[i].err.Error(), "NOSCRIPT") {
			calls[i].bySource()
			out[i].reply, out[i].err = b.once(ctx, calls[i])
		}
	}
	return out
}
