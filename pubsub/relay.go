package pubsub

import "sync"

// item is what a group's subscriptions are to be given: a message, a gap, or the end.
type item[T any] struct {
	frame *frame[T]
	gap   *Gap
	end   error
}

const (
	// relayFrom is from how many subscriptions on a group has a relay.
	relayFrom = 64
	// relayRoom is for how many items the reader need not wait for a relay, relayBatch how many it hands out at a time.
	relayRoom  = 1024
	relayBatch = 16
)

// relay hands out what comes for a large group, so that the goroutine that reads the connection goes on for all others
// meanwhile. What has gathered then is handed out together, which wakes a consumer once for several messages. It waits for
// no consumer either: only for the processor.
type relay[T any] struct {
	group *group[T]

	mu    sync.Mutex
	moved sync.Cond // queue or over changed
	queue []item[T]
	over  bool
}

func newRelay[T any](g *group[T]) *relay[T] {
	r := &relay[T]{group: g}
	r.moved.L = &r.mu
	go r.run()
	return r
}

// put adds an item, once there is room.
func (r *relay[T]) put(i item[T]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.queue) >= relayRoom && !r.over {
		r.moved.Wait()
	}
	r.queue = append(r.queue, i)
	if len(r.queue) == 1 {
		r.moved.Broadcast()
	}
}

// stop ends the relay: nobody is left to be given anything.
func (r *relay[T]) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	r.moved.Broadcast()
}

func (r *relay[T]) run() {
	batch := make([]item[T], 0, relayBatch)
	for {
		batch = r.take(batch[:0])
		if len(batch) == 0 {
			return
		}
		for n, i := range batch {
			if i.end != nil {
				r.group.deliver(batch[:n])
				r.group.finish(i.end)
				r.stop()
				return
			}
		}
		r.group.deliver(batch)
		clear(batch)
	}
}

// take waits for items; none means the end.
func (r *relay[T]) take(batch []item[T]) []item[T] {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.queue) == 0 && !r.over {
		r.moved.Wait()
	}
	if r.over {
		return nil
	}
	full := len(r.queue) >= relayRoom
	batch = append(batch, r.queue[:min(len(r.queue), relayBatch)]...)
	left := copy(r.queue, r.queue[len(batch):])
	clear(r.queue[left:])
	r.queue = r.queue[:left]
	if full {
		r.moved.Broadcast()
	}
	return batch
}
