package queue_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// lossy loses replies of scripts: after skip of them left are lost, and each time then is called.
type lossy struct {
	left, skip atomic.Int32
	then       func()
}

func (l *lossy) lose(skip, n int32) { l.skip.Store(skip); l.left.Store(n) }

type lossyConn struct {
	net.Conn
	l    *lossy
	mark atomic.Bool
}

func (c *lossyConn) Write(p []byte) (int, error) {
	script := bytes.Contains(bytes.ToUpper(p), []byte("EVALSHA"))
	if script && c.l.left.Load() > 0 && c.l.skip.Add(-1) < 0 && c.l.left.Add(-1) >= 0 {
		c.mark.Store(true)
	}
	return c.Conn.Write(p)
}

func (c *lossyConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if !c.mark.Swap(false) {
		return n, err
	}
	_ = c.Close() // the server has carried it out
	if c.l.then != nil {
		c.l.then()
	}
	return 0, io.EOF
}

// lossyCluster is a client of a Cluster of its own, as a user passes one in.
func lossyCluster(t *testing.T) (*queue.Client, *lossy) {
	l := &lossy{}
	o := *redistest.NewCluster(t, 3, false).Client(t).Options()
	o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &lossyConn{Conn: c, l: l}, nil
	}
	rdb := redis.NewClusterClient(&o)
	t.Cleanup(func() { _ = rdb.Close() })
	return around(t, rdb), l
}

// A reply that is lost in a Cluster, with the caller's context ended by then: what was carried out must not pass for
// undone, or the caller does it again.
func TestClusterLostAndCancelled(t *testing.T) {
	c, l := lossyCluster(t)
	enqueue(t, c, email{"warm"})
	ctx, cancel := context.WithCancel(t.Context())
	l.then = cancel
	l.lose(0, 1)
	if _, err := c.EnqueueMany(ctx, queue.Items([]email{{"x"}})); !errors.Is(err, queue.ErrOutcomeUnknown) {
		t.Errorf("created, and the error is %v", err)
	}

	id := uuid.New()
	in := input(t, c, id, 1, nil)
	places, items := numbered(1, 1)
	if _, err := in.EnqueueMany(t.Context(), places, items); err != nil {
		t.Fatal(err)
	}
	before := counts(t, c, "default").Ready
	ctx, cancel = context.WithCancel(t.Context())
	l.then = cancel
	l.lose(0, 1)
	places, items = numbered(2, 2)
	if _, err := in.EnqueueMany(ctx, places, items); !errors.Is(err, queue.ErrOutcomeUnknown) {
		t.Errorf("an input's jobs are in, and the error is %v", err)
	}
	places, items = numbered(2, 3)
	_, err := input(t, c, id, 2, nil).EnqueueMany(t.Context(), places, items)
	if n := counts(t, c, "default").Ready; n != before+2 {
		t.Errorf("%d jobs more, want the 2 that are in (%v)", n-before, err)
	}
}

// Verbs whose reply is lost in a Cluster: the outcome is told as unknown, and what is gone by then counts as done.
func TestClusterLostVerbs(t *testing.T) {
	c, l := lossyCluster(t)
	id := enqueue(t, c, email{"warm"})
	four, five := 4, 5
	if err := c.Edit(t.Context(), "default", id, queue.Edit{Priority: &four}); err != nil { // its scripts are known then
		t.Fatal(err)
	}
	l.lose(1, 1)
	if err := c.Edit(t.Context(), "default", id, queue.Edit{Priority: &five}); !errors.Is(err, queue.ErrOutcomeUnknown) {
		t.Errorf("edit: %v", err)
	}
	for i := range 6 {
		enqueue(t, c, email{fmt.Sprint(i)}, queue.In(time.Hour), queue.ID(fmt.Sprint("later", i)))
	}
	if err := c.Delete(t.Context(), "default", "later0"); err != nil {
		t.Fatal(err)
	}
	l.lose(1, 1)
	r, err := c.DeleteMany(t.Context(), "default", queue.Bulk{ListOptions: queue.ListOptions{State: queue.Scheduled}})
	if err != nil || r.Done != 5 {
		t.Errorf("delete: %+v, %v", r, err)
	}
}
