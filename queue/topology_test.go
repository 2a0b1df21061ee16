package queue

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/redistest"
)

func openAt(t *testing.T, url string) *Client {
	t.Helper()
	c, err := Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// spread makes n jobs that take turns on the queues.
func spread(n int, queues ...string) (items []Item) {
	for i := range n {
		items = append(items, Item{Args: Raw{Name: "k", Payload: fmt.Append(nil, i)}, Options: []Option{Queue(queues[i%len(queues)])}})
	}
	return items
}

// A batch over several queues keeps the order of each, on every topology, also where the servers have forgotten the
// scripts, and nothing is there twice where connections broke.
func TestEachTopologyKeepsTheOrder(t *testing.T) {
	redistest.EachTopology(t, func(t *testing.T, topo *redistest.Topology) {
		c := openAt(t, topo.URL)
		queues := []string{"a", "b", "c", "d", "e"}
		const rounds, each = 3, 2000
		want := make(map[string][]uuid.UUID)
		for range rounds {
			topo.Forget(t)
			topo.Disconnect(t)
			results, err := c.EnqueueMany(t.Context(), spread(each*len(queues), queues...))
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range results {
				want[queues[i%len(queues)]] = append(want[queues[i%len(queues)]], r.ID)
			}
		}
		for _, name := range queues {
			var got []uuid.UUID
			for s, err := range c.List(t.Context(), name, ListOptions{State: Ready}) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, s.ID)
			}
			if len(got) != rounds*each {
				t.Fatalf("%d jobs in queue %s, want %d", len(got), name, rounds*each)
			}
			for i, id := range want[name] {
				if got[i] != id {
					t.Fatalf("queue %s: job %d is %s, want %s", name, i, got[i], id)
				}
			}
		}
	})
}

// What operators do, on every topology.
func TestEachTopologyVerbs(t *testing.T) {
	redistest.EachTopology(t, func(t *testing.T, topo *redistest.Topology) {
		c, ctx := openAt(t, topo.URL), t.Context()
		for _, name := range []string{"a", "b", "c"} {
			if _, err := c.EnqueueMany(ctx, spread(300, name), In(time.Hour)); err != nil {
				t.Fatal(err)
			}
			id, err := c.Enqueue(ctx, Raw{Name: "one"}, Queue(name))
			if err != nil {
				t.Fatal(err)
			}
			runAt := time.Now().Add(time.Hour)
			if err := c.Edit(ctx, name, id.String(), Edit{RunAt: &runAt}); err != nil {
				t.Errorf("edit: %v", err)
			}
			if err := c.RunNow(ctx, name, id.String()); err != nil {
				t.Errorf("run now: %v", err)
			}
			if state, err := c.Cancel(ctx, name, id.String()); err != nil || state != Cancelled {
				t.Errorf("cancel: %v %v", state, err)
			}
			if done, err := c.CancelMany(ctx, name, Bulk{ListOptions: ListOptions{State: Scheduled, Limit: 100}}); err != nil || done.Done != 100 {
				t.Errorf("cancel many: %+v %v", done, err)
			}
			if gone, err := c.Purge(ctx, name, Scheduled, nil); err != nil || gone != 200 {
				t.Errorf("purge: %d %v", gone, err)
			}
			if err := c.DeleteQueue(ctx, name); err != nil {
				t.Errorf("delete: %v", err)
			}
		}
		if left, err := c.Queues(ctx); err != nil || len(left) > 0 {
			t.Errorf("queues left: %q %v", left, err)
		}
	})
}

// Listing from replicas sees what the primary has, and goes on when the connection breaks.
func TestListFromReplicas(t *testing.T) {
	sentinel, cluster := redistest.NewSentinel(t, 1, 1), redistest.NewCluster(t, 3, true)
	for name, url := range map[string]string{"sentinel": sentinel.URL(), "cluster": cluster.URL(t)} {
		c := openAt(t, url+"?read_from=replica")
		if _, err := c.EnqueueMany(t.Context(), spread(1000, "q")); err != nil {
			t.Fatal(err)
		}
		redistest.WaitFor(t, time.Minute, func() bool {
			n := 0
			for _, err := range c.List(t.Context(), "q", ListOptions{}) {
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				n++
			}
			return n == 1000
		}, "the replica to have all jobs")
	}
	asked := 0
	for _, srv := range append(cluster.Replicas, sentinel.Data[1]) {
		if stats := redistest.Client(t, srv).Info(t.Context(), "commandstats").Val(); strings.Contains(stats, "cmdstat_evalsha") {
			asked++
		}
	}
	if asked != 2 {
		t.Errorf("%d replicas were asked, want 2", asked)
	}
}

// The page shows the rules that the tests go by.
func TestPermissionsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/topologies.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "ACL SETUSER app on >secret "+redistest.Permissions+"\n") {
		t.Errorf("docs/topologies.md does not show %q", redistest.Permissions)
	}
}
