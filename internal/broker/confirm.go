package broker

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/loop"
	"github.com/tidemill/tidemill/internal/script"
)

// Confirm says what is waited for behind enqueue calls. The zero value waits for nothing.
type Confirm struct {
	Replicas       int           // so many have received what was written (WAIT)
	Synced         bool          // the primary's append-only file is synced (WAITAOF),
	SyncedReplicas int           // and those of so many replicas
	Timeout        time.Duration // of it all
	Slice          time.Duration // of one command: no reply may stay out for longer; at least 1 ms
	BySource       bool          // the server may not know the script: the wait would come before the second try
}

// Confirmed is what was told in time.
type Confirmed struct {
	Replicas       int
	Synced         bool
	SyncedReplicas int
	Err            error // why nothing was told, or no more
}

// ErrElsewhere says that a call went to another connection than the wait behind it, whose answer means nothing then.
var ErrElsewhere = errors.New("the call was carried out on another connection")

// met tells whether all is told that is waited for.
func (w Confirm) met(got Confirmed) bool {
	return got.Replicas >= w.Replicas && (!w.Synced || got.Synced && got.SyncedReplicas >= w.SyncedReplicas)
}

// Met tells whether nothing is left to wait for.
func (got Confirmed) Met(want Confirm) bool { return got.Err == nil && want.met(got) }

// serverTick is how often a server looks for waits whose time is over.
const serverTick = 100 * time.Millisecond

// slice is how long the next command may wait, in ms.
func (w Confirm) slice(ctx context.Context, left time.Duration) int64 {
	d := min(w.Slice, left)
	if end, ok := ctx.Deadline(); ok { // a wait that is under way then would break the connection
		d = min(d, time.Until(end)/2-serverTick)
	}
	return max(d.Milliseconds(), 1)
}

// mark queues a write of nothing new. A wait holds for the last write of its connection, and confirms everything where it
// made none, as it may be with a call that is answered from a lane's record: servers from 7.2 on do not count a client's
// reads.
func mark(ctx context.Context, pipe redis.Pipeliner, q *keys.Queue) *redis.Cmd {
	cmd := redis.NewCmd(ctx, "HSET", q.Key(keys.Meta), "mark", "1")
	_ = pipe.Process(ctx, script.Decoded{Cmd: cmd}) // queues it; errors come with Exec
	return cmd
}

// append queues the commands that wait.
func (w Confirm) append(ctx context.Context, pipe redis.Pipeliner, ms int64) waits {
	var cmds waits
	if w.Replicas > 0 {
		cmds.wait = redis.NewCmd(ctx, "WAIT", w.Replicas, ms)
		_ = pipe.Process(ctx, script.Decoded{Cmd: cmds.wait})
	}
	if w.Synced {
		cmds.sync = redis.NewCmd(ctx, "WAITAOF", 1, w.SyncedReplicas, ms)
		_ = pipe.Process(ctx, script.Decoded{Cmd: cmds.sync})
	}
	return cmds
}

// waits is the commands of a Confirm; nil is one that was not sent.
type waits struct{ wait, sync *redis.Cmd }

// read is what they answered.
func (w waits) read() (got Confirmed) {
	if w.wait != nil {
		n, err := w.wait.Int()
		got.Replicas, got.Err = n, replied(err)
	}
	if w.sync != nil && got.Err == nil {
		n, err := w.sync.Int64Slice()
		if got.Err = replied(err); err == nil && len(n) == 2 {
			got.Synced, got.SyncedReplicas = n[0] > 0, int(n[1])
		}
	}
	return got
}

// replied gives an error reply its type.
func replied(err error) error {
	var fromServer redis.Error
	if errors.As(err, &fromServer) {
		return typed(err.Error())
	}
	return err
}

// EnqueueConfirmed is EnqueueBatches with a wait behind the calls, in the same pipeline on the same connection; in a Cluster
// behind the calls of each server. An outcome without error is stored, whatever its Confirmed says; one that was not
// confirmed may be sent again under its stamp, to wait again.
func (b *Broker) EnqueueConfirmed(ctx context.Context, batches []Batch, want Confirm) []BatchOutcome {
	out := make([]BatchOutcome, len(batches))
	// Never by a Cluster client: it would send the waits, which have no key, to any server.
	nodes := make(map[*redis.Client][]int)
	for i := range batches {
		node, err := b.node(ctx, batches[i].Queue)
		if err != nil {
			out[i].Err = err
			continue
		}
		nodes[node] = append(nodes[node], i)
	}
	var parts sync.WaitGroup
	for node, places := range nodes {
		parts.Go(func() { b.confirmed(ctx, node, batches, places, want, out) })
	}
	parts.Wait()
	return out
}

// errNoConnection says that a client of another kind cannot wait behind a call.
var errNoConnection = errors.New("this kind of client cannot keep to one connection")

// node is the server that has a queue, in a Cluster as far as the client knows.
func (b *Broker) node(ctx context.Context, q *keys.Queue) (*redis.Client, error) {
	switch {
	case b.cluster != nil:
		return b.cluster.MasterForKey(ctx, q.Key(keys.Meta))
	case b.single != nil:
		return b.single, nil
	}
	return nil, errNoConnection
}

// confirmed makes the calls of some batches through one server's client and waits behind them.
func (b *Broker) confirmed(ctx context.Context, rdb *redis.Client, batches []Batch, places []int, want Confirm, out []BatchOutcome) {
	until := time.Now().Add(want.Timeout)
	conn := rdb.Conn()
	defer func() { _ = conn.Close() }() // gives it back
	pipe := conn.Pipeline()
	calls, cmds := make([]*call, len(places)), make([]command, len(places))
	for i, at := range places {
		calls[i] = enqueueCall(batches[at].Queue, batches[at].Stamp, batches[at].Items)
		if want.BySource {
			calls[i].bySource()
		}
		cmds[i] = command{script.NewCommand(ctx, false, &enqueueScript.replySize, calls[i].args...)}
		_ = pipe.Process(ctx, cmds[i].Cmder) // queues it; errors come with Exec
	}
	marked := mark(ctx, pipe, batches[places[0]].Queue)
	waits := want.append(ctx, pipe, want.slice(ctx, want.Timeout))
	_, execErr := pipe.Exec(ctx)
	got := waits.read()
	if err := replied(marked.Err()); err != nil {
		got = Confirmed{Err: err}
	}
	here := false // a call was carried out on this connection
	for i, at := range places {
		r, err := cmds[i].piped(execErr)
		here = here || err == nil
		out[at].Confirmed = got
		if err != nil {
			r, err = b.elsewhere(ctx, calls[i], err, &out[at])
		}
		if out[at].Err = err; err == nil {
			_, out[at].Outcomes, out[at].Err = enqueued(r, batches[at].Items)
		}
	}
	if !here {
		return
	}
	got = want.again(ctx, conn, got, until)
	for _, at := range places {
		if out[at].Confirmed.Err == nil {
			out[at].Confirmed = got
		}
	}
}

// again waits on behind the same writes, until all is told or time is over.
func (w Confirm) again(ctx context.Context, conn *redis.Conn, got Confirmed, until time.Time) Confirmed {
	for got.Err == nil && !w.met(got) {
		left, began := time.Until(until), time.Now()
		if end, ok := ctx.Deadline(); left < time.Millisecond || ctx.Err() != nil || ok && time.Until(end) < 2*serverTick {
			return got
		}
		ms := w.slice(ctx, left)
		pipe := conn.Pipeline()
		waits := w.append(ctx, pipe, ms)
		_, _ = pipe.Exec(ctx) // each command has its error
		next := waits.read()
		if got = next; next.Err == nil && time.Since(began).Milliseconds() < ms { // a server that does not wait
			_ = loop.Sleep(ctx, serverTick/5) // the context's end is seen above
		}
	}
	return got
}

// elsewhere looks after a call that failed: its server may have forgotten the script, have no longer the slot, or be dead.
// What was waited for on the first connection means nothing then.
func (b *Broker) elsewhere(ctx context.Context, c *call, err error, out *BatchOutcome) (*reply, error) {
	switch {
	case strings.HasPrefix(err.Error(), "NOSCRIPT"):
		out.Confirmed = Confirmed{Err: ErrElsewhere}
		c.bySource()
		return b.once(ctx, c)
	case b.cluster != nil && redirected(err):
		out.Confirmed = Confirmed{Err: ErrElsewhere}
		b.cluster.ReloadState(ctx)
		return b.do(ctx, c)
	case b.cluster != nil && !errors.As(err, new(redis.Error)):
		b.cluster.ReloadState(context.WithoutCancel(ctx))
	}
	return nil, err
}

// redirected tells the answer of a server that has not, or no longer, the slot.
func redirected(err error) bool {
	text := err.Error()
	return strings.HasPrefix(text, "MOVED ") || strings.HasPrefix(text, "ASK ")
}

// CanConfirm asks the server that has a queue whether it knows the commands of a Confirm. It does not wait for their sake.
func (b *Broker) CanConfirm(ctx context.Context, q *keys.Queue, want Confirm) error {
	rdb, err := b.node(ctx, q)
	if err != nil {
		return err
	}
	pipe := rdb.Pipeline()
	waits := want.append(ctx, pipe, 1)
	_, _ = pipe.Exec(ctx) // each command has its error
	err = waits.read().Err
	if b.cluster != nil && err != nil && !errors.As(err, new(redis.Error)) {
		b.cluster.ReloadState(context.WithoutCancel(ctx))
	}
	return err
}
