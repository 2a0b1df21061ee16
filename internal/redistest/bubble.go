package redistest

import (
	"context"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"
)

// bubbleAddr is where clients believe a Bubble to be. It is numeric because
// go-redis resolves host names, which no synctest bubble survives.
const bubbleAddr = "127.0.0.1:6379"

// Bubble is a miniredis that is reached through memory only, for use inside a
// testing/synctest bubble (and outside, where it runs on real time). Keys expire
// as the bubble's clock moves; M.ClockTTL(false) turns that off, for a test that
// calls M.FastForward or holds a hundred thousand keys. Safe for concurrent use.
//
// Refuse, Cut, BlackHole, Bandwidth, HoldRequest, Reorder, HoldReply, Held,
// HeldReplies, Dropped and Connections act on all clients.
type Bubble struct {
	// M is the server itself: its clock, SetError, direct access to keys.
	// Closing it is the Bubble's business; to take the server away from its
	// clients for a while use Refuse(true) and Cut.
	M *miniredis.Miniredis

	faults
	t      testing.TB
	server *server.Server
}

// NewBubble starts a server that ends with the test, together with every
// goroutine it took. Call it inside the synctest bubble, with the bubble's t.
func NewBubble(t testing.TB) *Bubble {
	t.Helper()
	b := &Bubble{M: miniredis.NewMiniRedis(), t: t}
	// The first Dial is what starts a miniredis without a listener, whose Accept
	// would keep the bubble's clock from moving.
	conn, err := b.M.Dial()
	if err != nil {
		t.Fatalf("redistest: start miniredis: %v", err)
	}
	conn.Close()
	b.server = b.M.Server()
	b.M.ClockTTL(true)
	t.Cleanup(outlast) // last of all
	t.Cleanup(b.close)
	return b
}

// outlast waits, in the bubble's time, for goroutines of go-redis: it looks once
// a second whether a pool that could not dial was closed.
func outlast() {
	defer func() { _ = recover() }() // outside of a bubble, where nobody counts them
	synctest.Wait()
	time.Sleep(3 * time.Second)
}

// Embedded returns a client of a new Bubble, for tests that inject no faults.
func Embedded(t testing.TB, opts ...func(*redis.Options)) *redis.Client {
	t.Helper()
	return NewBubble(t).Client(opts...)
}

// Client returns a new client, closed with the test. Its commands are not
// retried (MaxRetries -1) unless opts say otherwise. Any number of clients may
// be connected.
func (b *Bubble) Client(opts ...func(*redis.Options)) *redis.Client {
	b.t.Helper()
	dial := func(o *redis.Options) { o.Dialer = b.Dial }
	return newClient(b.t, bubbleAddr, append([]func(*redis.Options){dial}, opts...))
}

// Dial is a Dialer for clients made elsewhere. It ignores the address, but
// go-redis wants a numeric one all the same.
func (b *Bubble) Dial(context.Context, string, string) (net.Conn, error) {
	client, clientEnd := newMemPair()
	serverEnd, srv := newMemPair()
	if !b.attach(clientEnd, serverEnd) {
		return nil, &net.OpError{Op: "dial", Net: "memory", Addr: memAddr{}, Err: syscall.ECONNREFUSED}
	}
	b.server.ServeConn(srv)
	return client, nil
}

// DropReplies makes every command that pred chooses lose its reply: the server
// executes it, and the client finds the connection closed. The commands of the
// same pipeline after it are executed too and lose theirs with it. For a command
// queued by MULTI the reply lost is that of EXEC. A new pred takes the place of
// the old one; nil ends the faults.
func (b *Bubble) DropReplies(pred func(cmd string, args []string) bool) { b.setDrop(pred) }

// Delay makes the reply to a command reach the client that much later than it
// was given; the command itself is executed at once. Replies behind it on the
// same connection wait as well, so the delays of one pipeline add up. A new
// function takes the place of the old one; nil ends the delays.
func (b *Bubble) Delay(delay func(cmd string, args []string) time.Duration) { b.setDelay(delay) }

// close ends the connections, then the server.
func (b *Bubble) close() {
	b.faults.close()
	b.M.CtxCancel()
	// A command left blocking learns of the cancelled context by a broadcast that
	// miniredis sends without its lock, so it can be missed; any command sends
	// another one, with the lock held.
	if err := b.stir(); err != nil {
		b.t.Errorf("redistest: end miniredis: %v", err)
	}
	b.M.Close()
}

// stir has the server carry out a command.
func (b *Bubble) stir() error {
	conn, err := b.M.Dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "*1\r\n$4\r\nPING\r\n"); err != nil { // it knows no inline commands
		return err
	}
	answer := make([]byte, len("+PONG\r\n"))
	if _, err := io.ReadFull(conn, answer); err != nil {
		return err
	}
	if string(answer) != "+PONG\r\n" {
		return fmt.Errorf("PING was answered by %q", answer)
	}
	return nil
}
