package conn

import (
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Line is a connection of its own for one purpose: a Dedicated client of one connection that can be renewed. Safe for
// concurrent use.
type Line struct {
	set  *Set
	name string

	mu      sync.Mutex
	client  redis.UniversalClient
	patient redis.UniversalClient // the same with another timeout; nil until asked for
	closed  bool
}

// Line opens a connection for one purpose; Dedicated says what the name and the errors are. The caller closes it.
func (s *Set) Line(name string) (*Line, error) {
	client, err := s.Dedicated(name, 1)
	if err != nil {
		return nil, err
	}
	return &Line{set: s, name: name, client: client}, nil
}

// Client returns the client as it is now. After Renew or Close its calls fail with an error that Closed recognises.
func (l *Line) Client() redis.UniversalClient {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.client
}

// Patient is Client for pipelines that begin with a blocking call, where the server is a single one: their replies may
// take so long. It uses the same connection, which should be open already: a handshake, too, may take so long then.
func (l *Line) Patient(timeout time.Duration) redis.UniversalClient {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.patient == nil {
		l.patient = l.client
		if small, ok := l.client.(*smallClient); ok {
			if single, ok := small.UniversalClient.(*redis.Client); ok {
				l.patient = single.WithTimeout(timeout)
			}
		}
	}
	return l.patient
}

// Renew replaces the client: where its connection may be dead without knowing it, and after a failure, since a client
// whose dials failed tries again only once a second. After Close it does nothing.
func (l *Line) Renew() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	_ = l.client.Close() // its share of the budget is free now
	fresh, err := l.set.Dedicated(l.name, 1)
	if err == nil {
		l.client, l.patient = fresh, nil
	}
	return err
}

// Close ends the connection; a blocking call on it returns. Closing twice is fine.
func (l *Line) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	_ = l.client.Close()
}

// Closed tells the error of a call on a client that was closed.
func Closed(err error) bool { return errors.Is(err, redis.ErrClosed) }
