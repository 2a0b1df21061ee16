package broker

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/script"
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
	single, _ := script.Inner(rdb).(*redis.Client)
	cluster, _ := script.Inner(rdb).(*redis.ClusterClient)
	return &Broker{rdb: rdb, space: space, decodes: script.Decodes(rdb), cluster: cluster, single: single, plain: new(atomic.Bool)}
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
	script *transition
	args   []any // EVALSHA, digest, number of keys, keys..., ARGV...
	marked bool  // EVALSHA_RO instead
}

// newCall starts a call on a queue's fixed keys and further ones; ARGV is appended to its args.
func newCall(s *transition, q *keys.Queue, room int, more ...string) *call {
	fixed := q.Boxed()
	c := &call{script: s, args: make([]any, 0, 3+len(fixed)+len(more)+room)}
	c.args = append(c.args, "EVALSHA", s.Arg(), len(fixed)+len(more))
	c.args = append(c.args, fixed...)
	for _, key := range more {
		c.args = append(c.args, key)
	}
	return c
}

func (c *call) arg(values ...any) { c.args = append(c.args, values...) }

// bySource makes the call carry its script's text: for servers that forgot it, and where no retry is possible.
func (c *call) bySource() {
	c.args[1] = c.script.Source()
	if c.args[0] = "EVAL"; c.marked {
		c.args[0] = "EVAL_RO"
	}
}

// mark says by the command's name that the call only reads: a Cluster's replicas take no other.
func (c *call) mark(marked bool) {
	if c.marked = marked; marked {
		c.args[0] = "EVALSHA_RO"
	} else {
		c.args[0], c.args[1] = "EVALSHA", c.script.Digest()
	}
}

// reply is a script's answer.
type reply = script.Reply

// command is a call on its way through go-redis.
type command struct{ script.Command }

func (b *Broker) command(ctx context.Context, c *call) command {
	return command{script.NewCommand(ctx, b.decodes, &c.script.replySize, c.args...)}
}

// answer reads the outcome of a processed command.
func (cmd command) answer(err error) (*reply, error) { return answered(cmd.Answer(err)) }

// piped reads the outcome of a command of a pipeline, whose first error is given.
func (cmd command) piped(execErr error) (*reply, error) { return answered(cmd.Piped(execErr)) }

func answered(r *reply, err error) (*reply, error) {
	var fromServer redis.Error
	if errors.As(err, &fromServer) {
		err = typed(err.Error())
	}
	return r, err
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
