package conn

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/tidemill/tidemill/internal/loop"
)

const (
	// sentinelAnswer bounds the wait for a Sentinel: it answers from memory.
	sentinelAnswer = time.Second
	// sentinelPause is between two tries to listen to one.
	sentinelPause = 500 * time.Millisecond
	// confirmedFor is how long a server is believed to be the primary once it
	// said so itself.
	confirmedFor = time.Second
)

// sentinel finds the primary that Sentinels watch under a name. All clients of a
// Set dial through it, so each new connection goes to the primary of that
// moment; the old ones are closed as soon as a Sentinel tells of another, since
// one that blocks would stay with the old primary, and one that writes might
// write where nobody will read. Safe for concurrent use.
type sentinel struct {
	name string
	dial dialFunc
	opt  *redis.Options // of connections to Sentinels
	data *redis.Options // of connections to the servers they watch

	mu        sync.Mutex
	addrs     []string // the one that answered last is the first
	primary   string
	confirmed time.Time // when it last said that it is one
	open      map[*followed]struct{}
}

func newSentinel(t *target, dial dialFunc) *sentinel {
	opt := &redis.Options{
		Username: t.user, Password: t.password, Dialer: dial,
		MaxRetries: -1, Protocol: 2, DisableIdentity: true, ContextTimeoutEnabled: true, DialerRetries: 1, PoolSize: 1,
		DialTimeout: min(t.opt.DialTimeout, sentinelAnswer), ReadTimeout: sentinelAnswer, WriteTimeout: sentinelAnswer,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	addrs := slices.Clone(t.hosts)
	rand.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
	data := small(t.opt, 1, "")
	data.Dialer = dial
	return &sentinel{name: t.name, dial: dial, opt: opt, data: data, addrs: addrs, open: map[*followed]struct{}{}}
}

// client is a client of one Sentinel. The caller closes it.
func (s *sentinel) client(addr string) *redis.SentinelClient {
	opt := *s.opt
	opt.Addr = addr
	return redis.NewSentinelClient(&opt)
}

// unknownName says that a Sentinel watches no primary of the name.
type unknownName struct {
	addr, name string
	known      []string
}

func (e *unknownName) Error() string {
	known := "none"
	if len(e.known) > 0 {
		known = strings.Join(e.known, ", ")
	}
	return fmt.Sprintf("the Sentinel at %s watches no primary named %q; it watches: %s", e.addr, e.name, known)
}

// find asks all Sentinels at once and answers the first server named that says
// itself that it is the primary: for a moment after a failover some Sentinels
// still name the old one.
func (s *sentinel) find(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*sentinelAnswer)
	defer cancel()
	s.mu.Lock()
	addrs := slices.Clone(s.addrs)
	s.mu.Unlock()
	type answer struct {
		from, primary string
		err           error
	}
	answers := make(chan answer, len(addrs))
	for _, addr := range addrs {
		go func() {
			primary, err := s.ask(ctx, addr)
			answers <- answer{addr, primary, err}
		}()
	}
	var faults []error
	for range addrs {
		a := <-answers
		if a.err == nil {
			a.err = s.confirm(ctx, a.primary)
		}
		if a.err == nil {
			s.answered(a.from)
			return a.primary, nil
		}
		faults = append(faults, a.err)
	}
	return "", several(faults)
}

// ask asks one Sentinel where the primary is.
func (s *sentinel) ask(ctx context.Context, addr string) (string, error) {
	client := s.client(addr)
	defer func() { _ = client.Close() }()
	defer context.AfterFunc(ctx, func() { _ = client.Close() })()
	at, err := client.GetMasterAddrByName(ctx, s.name).Result()
	switch {
	case err == redis.Nil:
		return "", &unknownName{addr: addr, name: s.name, known: watched(ctx, client)}
	case err != nil:
		return "", fmt.Errorf("the Sentinel at %s: %w", addr, err)
	case len(at) != 2:
		return "", fmt.Errorf("the Sentinel at %s: %d words for an address", addr, len(at))
	}
	return net.JoinHostPort(at[0], at[1]), nil
}

// watched lists the names of the primaries that a Sentinel watches.
func watched(ctx context.Context, client *redis.SentinelClient) (names []string) {
	all, err := client.Masters(ctx).Result()
	if err != nil {
		return nil // it is for people only
	}
	for _, one := range all {
		if fields, ok := one.([]any); ok {
			for i := 0; i+1 < len(fields); i += 2 {
				if fields[i] == "name" {
					names = append(names, fmt.Sprint(fields[i+1]))
				}
			}
		}
	}
	slices.Sort(names)
	return names
}

// confirm asks a server whether it is the primary, and notes that it is.
func (s *sentinel) confirm(ctx context.Context, addr string) error {
	s.mu.Lock()
	known := addr == s.primary && time.Since(s.confirmed) < confirmedFor
	s.mu.Unlock()
	if known {
		return nil
	}
	opt := *s.data
	opt.Addr = addr
	client := redis.NewClient(&opt)
	defer func() { _ = client.Close() }()
	defer context.AfterFunc(ctx, func() { _ = client.Close() })()
	role, _, err := roleOf(ctx, client)
	if err != nil {
		return fmt.Errorf("%s, which Sentinel names: %w", addr, err)
	}
	if isReplica(role) {
		return fmt.Errorf("%s, which Sentinel names, is a replica now", addr)
	}
	s.moved(addr)
	return nil
}

// answered puts the Sentinel that answered first.
func (s *sentinel) answered(addr string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.addrs, addr); i > 0 {
		s.addrs[0], s.addrs[i] = s.addrs[i], s.addrs[0]
	}
}

// moved takes note of where the primary is and leaves any other server.
func (s *sentinel) moved(primary string) {
	s.mu.Lock()
	s.primary, s.confirmed = primary, time.Now()
	var left []*followed
	for c := range s.open {
		if c.addr != primary {
			left = append(left, c)
		}
	}
	s.mu.Unlock()
	for _, c := range left {
		_ = c.Close()
	}
}

// listen hears from the Sentinels when another primary takes over, until ctx
// ends. What was said while nobody listened is asked for.
func (s *sentinel) listen(ctx context.Context) {
	for next := 0; ctx.Err() == nil; next++ {
		s.mu.Lock()
		addr := s.addrs[next%len(s.addrs)]
		s.mu.Unlock()
		s.listenTo(ctx, addr)
		_ = loop.Sleep(ctx, sentinelPause)
	}
}

// listenTo hears from one Sentinel until the connection breaks.
func (s *sentinel) listenTo(ctx context.Context, addr string) {
	client := s.client(addr)
	defer func() { _ = client.Close() }()
	sub := client.Subscribe(ctx)
	defer func() { _ = sub.Close() }()
	if sub.Subscribe(ctx, "+switch-master") != nil {
		return
	}
	// go-redis does not interrupt a read when its context ends.
	defer context.AfterFunc(ctx, func() { _ = sub.Close() })()
	ended, end := context.WithCancel(context.Background())
	end() // with it go-redis cannot connect again by itself
	for {
		got, err := sub.ReceiveTimeout(ended, 0)
		if err != nil {
			return
		}
		switch got := got.(type) {
		case *redis.Subscription:
			if _, err := s.find(ctx); err != nil {
				return
			}
		case *redis.Message: // name, old host, old port, new host, new port
			if words := strings.Fields(got.Payload); len(words) == 5 && words[0] == s.name {
				s.answered(addr)
				s.moved(net.JoinHostPort(words[3], words[4]))
			}
		}
	}
}
