package queue_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// loseThenRefuse has the next script held on its way, and those after it refused by a full Redis.
func loseThenRefuse(t *testing.T, srv *redisserver.Server, p *redistest.Proxy) (room, late func()) {
	t.Helper()
	redistest.SetMaxMemory(t, srv, "1")
	return func() { redistest.SetMaxMemory(t, srv, "0") }, p.HoldRequest(redistest.Once(scripts))
}

// impatient opens a client that sends again after a short time, through a proxy.
func impatient(t *testing.T, srv *redisserver.Server) (*queue.Client, *redistest.Proxy) {
	t.Helper()
	p := redistest.NewProxy(t, srv.Addr())
	return open(t, "redis://"+p.Addr()+"?read_timeout=500ms"), p
}

// TestFullAfterALostRequest: the first try is on its way, the second is refused: that nothing was taken is not known, and
// not true.
func TestFullAfterALostRequest(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		for i, send := range []func(*queue.Client) error{
			func(c *queue.Client) error { _, err := c.Enqueue(t.Context(), email{"x"}); return err },
			func(c *queue.Client) error {
				_, err := c.Enqueue(t.Context(), email{"x"}, queue.Durable(queue.Durability{Replicas: 1}))
				return err
			},
			func(c *queue.Client) error {
				_, err := c.EnqueueMany(t.Context(), queue.Items(make([]email, 1)))
				return err
			},
		} {
			c, p := impatient(t, srv)
			enqueue(t, c, email{"warm"})
			withExpress(t, c)
			room, late := loseThenRefuse(t, srv, p)
			if err := send(c); !errors.Is(err, queue.ErrRedisFull) || !errors.Is(err, queue.ErrOutcomeUnknown) {
				t.Errorf("case %d: %v", i, err)
			}
			room()
			late()
			expectReady(t, c, "default", int64(2*i+2))
		}
	})
}

// TestInputFullAfterALostRequest: an input sends such a call once more, and its jobs come in once, whichever try arrives
// first. Other jobs it does not send: they might be added beside those of the call.
func TestInputFullAfterALostRequest(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		for _, order := range []string{"late first", "late last", "others"} {
			t.Run(order, func(t *testing.T) {
				c, p := impatient(t, srv)
				in, name := input(t, c, uuid.New(), 1, nil), strings.ReplaceAll(order, " ", "-")
				send := func(from, to int) ([]queue.Result, error) {
					places, items := numbered(from, to)
					for i := range items {
						items[i].Options = nil
					}
					return in.EnqueueMany(t.Context(), places, items, queue.Queue(name))
				}
				if _, err := send(1, 4); err != nil {
					t.Fatal(err)
				}
				room, late := loseThenRefuse(t, srv, p)
				for range 2 { // the second time nothing is on its way but what was before
					results, err := send(5, 2000)
					if _, _, failed := verdicts(results); !errors.Is(err, queue.ErrRedisFull) || !errors.Is(err, queue.ErrOutcomeUnknown) || failed != 1996 {
						t.Errorf("%d failed: %v", failed, err)
					}
				}
				room()
				if order == "others" {
					if _, err := send(900, 2000); !errors.Is(err, queue.ErrOutcomeUnknown) || errors.Is(err, queue.ErrRedisFull) {
						t.Errorf("other jobs: %v", err)
					}
					late()
					return
				}
				if order == "late first" {
					late()
				}
				results, err := send(5, 2100)
				late()
				if created, _, _ := verdicts(results); err != nil || created != 2096 {
					t.Errorf("%d created, %v", created, err)
				}
				expectReady(t, c, name, 2100)
				for _, i := range []int{0, 1000, 2095} {
					if _, err := c.Get(t.Context(), name, results[i].ID.String()); err != nil {
						t.Errorf("job %d is not under its id: %v", i, err)
					}
				}
			})
		}
	})
}
