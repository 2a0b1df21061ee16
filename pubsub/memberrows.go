package pubsub

import "container/heap"

// deque is the messages that are ready, in a ring that grows.
type deque struct {
	ring []*delivery
	head int
	n    int
}

func (q *deque) grow() {
	if q.n < len(q.ring) {
		return
	}
	bigger := make([]*delivery, max(2*len(q.ring), 16))
	for i := range q.n {
		bigger[i] = q.ring[(q.head+i)%len(q.ring)]
	}
	q.ring, q.head = bigger, 0
}

func (q *deque) pushBack(d *delivery) {
	q.grow()
	q.ring[(q.head+q.n)%len(q.ring)] = d
	q.n++
}

func (q *deque) pushFront(d *delivery) {
	q.grow()
	q.head = (q.head + len(q.ring) - 1) % len(q.ring)
	q.ring[q.head] = d
	q.n++
}

func (q *deque) popFront() *delivery {
	d := q.ring[q.head]
	q.ring[q.head] = nil
	q.head = (q.head + 1) % len(q.ring)
	q.n--
	return d
}

// dueHeap has the message first whose next attempt comes first.
type dueHeap []*delivery

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push is for package heap.
func (h *dueHeap) Push(x any) {
	d := x.(*delivery)
	d.place = len(*h)
	*h = append(*h, d)
}

// Pop is for package heap.
func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	d := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return d
}

func (h *dueHeap) push(d *delivery) { heap.Push(h, d) }
func (h *dueHeap) pop() *delivery   { return heap.Pop(h).(*delivery) }

// remove takes a message out, if it is there.
func (h *dueHeap) remove(d *delivery) {
	if d.place < len(*h) && (*h)[d.place] == d {
		heap.Remove(h, d.place)
	}
}
