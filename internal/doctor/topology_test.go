package doctor_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// In a Cluster the queues, and the keys that are looked for, are spread over the servers.
func TestCluster(t *testing.T) {
	t.Parallel()
	c := redistest.NewCluster(t, 3, false)
	w := newWard(t, c.URL(t), "tm")
	ctx := context.Background()
	names := []string{"a", "b", "c", "d"}
	for i, name := range names {
		q, err := w.space.Queue(name)
		w.must(err)
		_, err = w.client.Enqueue(ctx, queue.Raw{Name: "k", Payload: []byte(`{}`)}, queue.Queue(name), queue.ID(id(i).String()))
		w.must(err)
		w.must(w.rdb.Del(ctx, q.Fixed()[13]).Err()) // ready:0
		w.set1(q.Lanes("gone"), "0", "1 OK")
		w.must(w.rdb.RPush(ctx, q.Fixed()[15], sid(50+i)).Err())
	}
	w.must(w.rdb.SRem(ctx, w.space.Queues(), "d").Err())
	w.must(w.rdb.Set(ctx, w.space.Workers(), "mine", 0).Err())
	r := w.examine()
	found := make(map[string]int)
	servers := make(map[string]bool)
	for _, f := range r.Findings {
		found[f.Check]++
		servers[f.Server] = true
	}
	for check, want := range map[string]int{"job-without-state": 4, "lanes-without-session": 4, "entry-without-job": 4, "queue-not-listed": 1, "key-of-another-type": 1} {
		if found[check] != want {
			t.Errorf("%s: told %d times, want %d (%v)", check, found[check], want, fmt.Sprint(found))
		}
	}
	if len(servers) != 4 { // and none
		t.Errorf("servers that were looked at: %v", servers)
	}
	w.mends(r)
	if again := ill(w.examine()); len(again) != 1 || again["key-put-aside"] != 1 {
		t.Errorf("after the repair: %v", again)
	}
	for _, name := range names {
		if n, err := w.client.Counts(ctx, name); err != nil || n.Ready != 1 {
			t.Errorf("%s: %d ready, %v", name, n.Ready, err)
		}
	}
}
