package brokertest

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/devserver"
	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
)

// fast is an env with an express connection, which is taken and knows the script.
type fast struct {
	*env
	x            *broker.Express
	dial         func(context.Context) (net.Conn, error)
	transactions atomic.Int64 // that were sent
}

// counting counts what is sent on a connection.
type counting struct {
	*net.TCPConn
	transactions *atomic.Int64
}

func (c counting) Write(b []byte) (int, error) {
	c.transactions.Add(int64(bytes.Count(b, []byte("\r\nMULTI\r\n"))))
	return c.TCPConn.Write(b)
}

func onExpress(t *testing.T, run func(f *fast), opts ...redistest.Option) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		f := &fast{env: newEnv(t, redistest.Client(t, srv), "direct")}
		f.connect(f.to(srv.Addr(), ""))
		run(f)
	}, opts...)
}

// onAnyExpress is onExpress on the embedded server too.
func onAnyExpress(t *testing.T, run func(f *fast)) {
	onExpress(t, run)
	t.Run("embedded", func(t *testing.T) {
		srv, err := devserver.StartEmbedded("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		rdb := redis.NewClient(&redis.Options{Addr: srv.Addr})
		t.Cleanup(func() { _ = errors.Join(rdb.Close(), srv.Stop(context.Background())) })
		f := &fast{env: newEnv(t, rdb, "direct")}
		f.connect(f.to(srv.Addr, ""))
		run(f)
	})
}

// to dials a server, as a user whose password is secret if there is one.
func (f *fast) to(addr, user string) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		if user != "" {
			_, err = c.Write([]byte("AUTH " + user + " secret\r\n"))
			if err == nil {
				_, err = c.Read(make([]byte, len("+OK\r\n")))
			}
		}
		return counting{c.(*net.TCPConn), &f.transactions}, err
	}
}

func (f *fast) connect(dial func(context.Context) (net.Conn, error)) {
	f.Helper()
	f.dial = dial
	f.x = broker.NewExpress(dial, func() {}, time.Minute)
	f.x.AllowDirect(f.space.Unused())
	f.Cleanup(f.x.Close)
	redistest.WaitFor(f.T, time.Minute, f.x.Take, "the connection")
	other := f.queue("other")
	_, err := f.b.Enqueue(f.ctx, other, broker.Stamp{}, []broker.Item{item(0, 0)})
	f.must(errors.Join(err, f.x.Send(&broker.Call{Batch: broker.Batch{Queue: other, Items: []broker.Item{item(0, 0)}}}))) // the script is there now
	_, _, err = f.x.Receive()
	f.must(err)
}

// made are jobs whose ids nobody else has.
func made(from, to int, priority uint8) []broker.Item {
	var items []broker.Item
	for n := from; n <= to; n++ {
		one := item(n, priority)
		one.Made = true
		items = append(items, one)
	}
	return items
}

// next is the lane's next call, of which the server has a record.
func (f *fast) next() broker.Stamp {
	stamp := f.stamp()
	stamp.Recorded = true
	return stamp
}

// send makes a call on the express connection, which is answered, and tells whether it was a direct one.
func (f *fast) send(q *keys.Queue, stamp broker.Stamp, items []broker.Item) (outcomes string, direct bool, err error) {
	f.Helper()
	return f.call(&broker.Call{Batch: broker.Batch{Queue: q, Stamp: stamp, Items: items}, Start: time.Now()})
}

func (f *fast) call(c *broker.Call) (outcomes string, direct bool, err error) {
	f.Helper()
	before := f.transactions.Load()
	f.must(f.x.Send(c))
	got, answered, err := f.x.Receive()
	if !answered {
		f.Fatalf("no answer: %v", err)
	}
	for _, word := range got {
		outcomes += string(rune(word))
	}
	return outcomes, f.transactions.Load() > before, err
}

// direct makes a call that is carried out as a direct one.
func (f *fast) direct(stamp broker.Stamp, items []broker.Item) {
	f.Helper()
	got, direct, err := f.send(f.q, stamp, items)
	f.must(err)
	f.equal("outcomes", got, strings.Repeat("c", len(items)))
	f.equal("a direct call", direct, true)
}

// refused makes a direct call that must be refused, and change nothing.
func (f *fast) refused(stamp broker.Stamp, items []broker.Item) {
	f.Helper()
	f.refusedCall(&broker.Call{Batch: broker.Batch{Queue: f.q, Stamp: stamp, Items: items}, Start: time.Now()})
}

func (f *fast) refusedCall(c *broker.Call) {
	f.Helper()
	before := f.dump()
	_, direct, err := f.call(c)
	if !direct || !broker.Unanswered(err) || !strings.HasPrefix(err.Error(), "NOTDIRECT") {
		f.Fatalf("direct: %v, %v", direct, err)
	}
	f.unchanged(before)
}
