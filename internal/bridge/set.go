package bridge

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/pubsub"
	"github.com/tidemill/tidemill/queue"
)

// Set is the subscriptions of a process. Safe for concurrent use; a nil one has none.
type Set struct {
	jobs *queue.Client
	log  zerolog.Logger
	life context.Context
	end  context.CancelFunc

	mu      sync.Mutex
	closed  bool
	serving map[Subscription]*service

	connecting sync.Mutex
	watch      func(*pubsub.Client)          // nil: nobody watches
	messages   atomic.Pointer[pubsub.Client] // nil before the first subscription
}

// New makes a Set whose jobs go to a client. It shares that client's connections: one is for all that is subscribed to.
func New(jobs *queue.Client, log zerolog.Logger) *Set {
	s := &Set{jobs: jobs, log: log, serving: make(map[Subscription]*service)}
	s.life, s.end = context.WithCancel(context.Background())
	return s
}

// Watch has f called with the client that subscribes, as soon as there is one. Before Serve.
func (s *Set) Watch(f func(*pubsub.Client)) { s.watch = f }

// client is what subscribes. The first to ask for it makes it.
func (s *Set) client() (*pubsub.Client, error) {
	s.connecting.Lock()
	defer s.connecting.Unlock()
	if c := s.messages.Load(); c != nil {
		return c, nil
	}
	c, err := pubsub.New(s.jobs.Redis(), pubsub.Config{Namespace: s.jobs.Namespace(), Logger: s.log})
	if err != nil {
		return nil, err
	}
	s.messages.Store(c)
	if s.watch != nil {
		s.watch(c)
	}
	return c, nil
}

// Serve makes these the subscriptions: those that are new begin, those that are gone end, and the others go on. It does not
// wait for Redis.
func (s *Set) Serve(list []Subscription) {
	s.mu.Lock()
	var gone []*service
	for one, service := range s.serving {
		if !slices.Contains(list, one) {
			gone = append(gone, service)
			delete(s.serving, one)
		}
	}
	for _, one := range list {
		if s.closed || s.serving[one] != nil {
			continue
		}
		s.serving[one] = s.begin(one)
	}
	s.mu.Unlock()
	for _, service := range gone { // together: where Redis is away each takes its time
		service.end()
	}
	for _, service := range gone {
		<-service.done
	}
}

func (s *Set) begin(one Subscription) *service {
	v := &service{set: s, what: one, done: make(chan struct{})}
	var ctx context.Context
	ctx, v.end = context.WithCancel(s.life)
	go v.run(ctx)
	return v
}

// Faults says in words which subscriptions are away, in an order that stays.
func (s *Set) Faults() []string {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.messages.Load()
	lost := c == nil || c.Stats().Connections == 0
	var faults []string
	for one, service := range s.serving {
		if fault := service.fault(lost); fault != "" {
			faults = append(faults, "subscription "+one.String()+": "+fault)
		}
	}
	slices.Sort(faults)
	return faults
}

// Stop ends the subscriptions: no more messages are taken, and what was taken becomes jobs, or is given back to its group
// where Redis does not answer. It returns when that is done.
func (s *Set) Stop() {
	if s == nil {
		return
	}
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.Serve(nil)
}

// Close is Stop, and ends the rest.
func (s *Set) Close() {
	if s == nil {
		return
	}
	s.Stop()
	s.end()
	if c := s.messages.Load(); c != nil {
		_ = c.Close()
	}
}
