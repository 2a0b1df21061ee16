package matrix

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// Round after round of jobs that end in every way, are repeated under their own ids, delayed, cancelled, deleted, edited,
// redriven and purged, and of workers that come, go and are killed: once drained the server holds what it held.
func TestBackToAConstant(t *testing.T) {
	r := onServer(t)
	var keys [][]string
	var memory []int64
	const rounds = 4
	for round := range rounds {
		mixture(r, round)
		// A process ends its own blocking pop through a list that lives 10 s, unless the pop takes it away at once.
		r.wait("what ends blocking pops to expire", func() bool { return len(r.rdb.Keys(r.ctx, "tm:*:poke:*").Val()) == 0 })
		// A token or two may wait for the next worker.
		names := slices.DeleteFunc(r.rdb.Keys(r.ctx, "*").Val(), func(key string) bool {
			return (strings.HasSuffix(key, ":wake") || strings.HasSuffix(key, ":due")) && r.rdb.LLen(r.ctx, key).Val() <= 2
		})
		slices.Sort(names)
		// Of each key, all of it: what the server uses in all comes and goes by 60 KB with its connections' buffers. But not of the list
		// of workers, which has the killed ones for some minutes.
		var bytes int64
		for _, name := range names {
			if name == "tm:workers" {
				continue
			}
			n, err := r.rdb.MemoryUsage(r.ctx, name, 0).Result()
			r.must(err)
			bytes += n
		}
		keys, memory = append(keys, names), append(memory, bytes)
	}
	t.Logf("keys %v, bytes %v", keys[rounds-1], memory)
	if !slices.Equal(keys[rounds-1], keys[1]) {
		t.Errorf("the keys are not the same after each round: %q", keys)
	}
	// A round is 600 jobs: were one of 100 noted somewhere there would be more.
	if grown := memory[rounds-1] - memory[1]; grown > 500*(rounds-2) {
		t.Errorf("memory grew by %d bytes in %d rounds: %v", grown, rounds-2, memory)
	}
}

// mixture is one round.
func mixture(r *rig, round int) {
	r.Helper()
	var c calls
	mux := everyEnd(&c)
	mux.HandleKind("block", func(context.Context, *queue.Job[queue.Raw]) error { return nil })
	// A process that is killed with running jobs; the worker after it takes them over.
	victim := startChild(r.T, spec{URL: r.url, Concurrency: 20, TTL: 2 * time.Second})
	r.addAll(20, kind("block"))
	r.wait("its handlers", func() bool { return len(victim.starts()) == 20 })
	victim.signal(syscall.SIGKILL)
	victim.ended(patience)

	var items []queue.Item
	for i := range 600 {
		key := fmt.Sprintf("%c-%d", "pfsdrlcx"[i%8], i) // the same in each round
		options := []queue.Option{queue.ID(key), queue.Priority(i % 10), queue.Meta("n", key)}
		switch key[0] {
		case 'r':
			options = append(options, queue.Retain(100*time.Millisecond))
		case 'l':
			options = append(options, queue.In(200*time.Millisecond))
		}
		items = append(items, queue.Item{Args: errand{}, Options: options})
	}
	_, err := r.client.EnqueueMany(r.ctx, items)
	r.must(err)
	for i := range items {
		key := fmt.Sprintf("%c-%d", "pfsdrlcx"[i%8], i)
		switch key[0] {
		case 'c':
			_, err = r.client.Cancel(r.ctx, queue.DefaultQueue, key)
		case 'x':
			err = r.client.Delete(r.ctx, queue.DefaultQueue, key)
		}
		r.must(err)
	}
	p := r.start(r.client, mux, worker.Config{SessionTTL: 2 * time.Second, Concurrency: 50})
	r.drained()
	r.wait("the recovery", func() bool { return r.counts().Recovered == int64(20*(round+1)) && r.sessions(queue.DefaultQueue) == 1 })
	r.drained()
	for i := 3; i < len(items); i += 16 { // half of the dead have another try
		r.must(r.client.Redrive(r.ctx, queue.DefaultQueue, fmt.Sprintf("d-%d", i)))
	}
	r.drained()
	_, err = r.client.Purge(r.ctx, queue.DefaultQueue, queue.DeadState, nil)
	r.must(err)
	r.wait("retention to end", func() bool { return r.counts().Finished == 0 })
	r.must(p.stop())
}
