package pubsub

// ring is a queue of slots in an array that grows, and shrinks again when little of it was needed for long.
type ring[T any] struct {
	slots []slot[T] // a power of two
	head  int
	n     int
	peak  int // the most since it was last empty
	small int // how often in a row it ran empty having needed a quarter at most
}

const (
	smallestRing = 4
	shrinkAfter  = 64
)

func (r *ring[T]) front() *slot[T] { return &r.slots[r.head] }

func (r *ring[T]) push(s slot[T]) {
	if r.n == len(r.slots) {
		r.resize(max(2*r.n, smallestRing))
	}
	r.slots[(r.head+r.n)&(len(r.slots)-1)] = s
	if r.n++; r.n > r.peak {
		r.peak = r.n
	}
}

func (r *ring[T]) pop() slot[T] {
	s := r.slots[r.head]
	r.slots[r.head] = slot[T]{}
	r.head = (r.head + 1) & (len(r.slots) - 1)
	if r.n--; r.n == 0 {
		r.emptied()
	}
	return s
}

// emptied gives half of the array back when it proved too large.
func (r *ring[T]) emptied() {
	if r.peak > len(r.slots)/4 {
		r.small = 0
	} else if r.small++; r.small == shrinkAfter && len(r.slots) > smallestRing {
		r.resize(len(r.slots) / 2)
	}
	r.peak = 0
}

func (r *ring[T]) resize(size int) {
	slots := make([]slot[T], size)
	for i := range r.n {
		slots[i] = r.slots[(r.head+i)&(len(r.slots)-1)]
	}
	r.slots, r.head, r.small = slots, 0, 0
}
