package conn

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
)

// Config says how many connections a process may hold. The zero value works.
type Config struct {
	// MaxConnections bounds all connections of the Set together; 0 means 50, the
	// least is 4. A client passed to Wrap keeps the pool its owner gave it and
	// counts as 1 here. In a Cluster the bound is for each node, as all pool
	// sizes of go-redis are.
	MaxConnections int
	// Logger receives go-redis's own messages at debug level, rate-limited. The
	// first Set of the process decides. The zero value logs nothing.
	Logger zerolog.Logger
	// ClientName is shown by CLIENT LIST, with ":" and the purpose appended for
	// small clients. Printable ASCII without spaces. Empty: no name is set, or
	// the one that the wrapped client or the URL (client_name) brings is used;
	// the URL's wins over this one.
	ClientName string
}

// Set is the connections of a process. Safe for concurrent use.
type Set struct {
	shared redis.UniversalClient
	reader redis.UniversalClient // of replicas; nil = inspection reads are not told from others
	owned  bool
	stop   func() // ends what Open started; nil where it started nothing
	addr   string
	name   string
	log    zerolog.Logger

	bySentinel bool // it follows the primary that Sentinels name

	single  *redis.Options        // what small clients are derived from,
	cluster *redis.ClusterOptions // one of the two
	silence *silence              // nil of a client that was passed in

	common *common
	closed atomic.Bool
}

// Wrap builds a Set around a client of the caller's, who goes on owning it: it is
// never closed or changed here and must outlive the Set. Sets around one client
// share a budget; that of a Set which Open made is a view of it then, with its
// settings, and ends with it. Small clients are
// derived from its options, its dialer included, without its hooks. Only a
// *redis.Client (also one from NewFailoverClient) and a *redis.ClusterClient can
// be copied so; another type is an ErrConfig that names it. Nothing is sent.
func Wrap(rdb redis.UniversalClient, cfg Config) (*Set, error) {
	limit, err := cfg.check()
	if err != nil {
		return nil, err
	}
	set := &Set{shared: rdb, name: cfg.ClientName, log: cfg.Logger}
	switch client := rdb.(type) {
	case *redis.Client:
		if client == nil {
			return nil, fmt.Errorf("%w: the *redis.Client is nil", ErrConfig)
		}
		opt := *client.Options()
		set.single, set.addr = &opt, opt.Addr
		set.name = firstOf(cfg.ClientName, opt.ClientName)
	case *redis.ClusterClient:
		if client == nil {
			return nil, fmt.Errorf("%w: the *redis.ClusterClient is nil", ErrConfig)
		}
		opt := *client.Options()
		set.cluster, set.addr = &opt, "cluster"
		set.name = firstOf(cfg.ClientName, opt.ClientName)
	default:
		return nil, fmt.Errorf("%w: a %T cannot be used, since small clients cannot be derived from it; "+
			"pass a *redis.Client or a *redis.ClusterClient", ErrConfig, rdb)
	}
	quietLibrary(cfg.Logger)
	set.common = commonOf(rdb, cfg, limit)
	if owner := set.common.owner; owner != nil {
		set.addr, set.name, set.reader, set.silence = owner.addr, owner.name, owner.reader, owner.silence
		set.bySentinel = owner.bySentinel
	}
	return set, nil
}

// Logger is that of the Config.
func (s *Set) Logger() zerolog.Logger { return s.log }

// Shared returns the client for commands and pipelines. Never block on it: its
// pool is what acknowledgements wait for.
func (s *Set) Shared() redis.UniversalClient { return s.shared }

// Reader returns the client for inspection reads, which may be a little behind:
// of replicas where the URL said read_from=replica, else the shared one. In a
// Cluster only commands that its nodes call read-only go to replicas. Its
// connections are within the budget.
func (s *Set) Reader() redis.UniversalClient {
	if s.reader != nil {
		return s.reader
	}
	return s.shared
}

// FromReplicas reports whether Reader's answers may be a little behind.
func (s *Set) FromReplicas() bool { return s.reader != nil }

// Left is how many connections of the budget nobody has taken yet.
func (s *Set) Left() int {
	s.common.mu.Lock()
	defer s.common.mu.Unlock()
	return s.common.limit - s.common.used
}

// ReadTimeout is after how long without a reply a connection of the shared client
// is held for broken; 0 or less: never.
func (s *Set) ReadTimeout() time.Duration {
	if s.cluster != nil {
		return s.cluster.ReadTimeout
	}
	return s.single.ReadTimeout
}

// Cluster reports whether the Set talks to a Redis Cluster.
func (s *Set) Cluster() bool { return s.cluster != nil }

// Dedicated opens a small client of at most size connections, for one purpose
// that must not share a pool. A subscription of it would take a connection
// outside of that: Raw is for those. The name is appended to the client name.
//
// It connects on first use. It is closed with the Set or by the caller, who may
// close it twice and gives its share of the budget back so. A budget that does
// not hold it is an ErrConfig that names the number needed. The result is not a
// *redis.Client.
func (s *Set) Dedicated(name string, size int) (redis.UniversalClient, error) {
	if err := checkName("name of a dedicated client", name); err != nil {
		return nil, err
	}
	if size < 1 {
		return nil, fmt.Errorf("%w: dedicated client %q wants %d connections, must be at least 1", ErrConfig, name, size)
	}
	full := nameFor(s.name, name)
	s.common.mu.Lock()
	defer s.common.mu.Unlock()
	if s.closed.Load() {
		return nil, fmt.Errorf("dedicated client %q: %w", name, redis.ErrClosed)
	}
	if err := s.common.takeLocked(fmt.Sprintf("dedicated client %q", name), size); err != nil {
		return nil, err
	}
	c := &smallClient{set: s, size: size}
	if s.cluster != nil {
		c.UniversalClient = newCluster(smallCluster(s.cluster, size, full))
	} else {
		c.UniversalClient = redis.NewClient(small(s.single, size, full))
	}
	s.common.small[c] = struct{}{}
	return c, nil
}

// Close closes every small client, and the shared one if Open made it. Calls
// that wait on them return at once. Further calls do nothing.
func (s *Set) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	attached, open := s.common.leave(s)
	var faults []error
	for _, one := range attached {
		faults = append(faults, one.Close())
	}
	if s.stop != nil {
		s.stop()
	}
	for _, c := range open {
		faults = append(faults, c.Close())
	}
	if s.reader != nil && s.owned {
		faults = append(faults, s.reader.Close())
	}
	if s.owned {
		if err := s.shared.Close(); !errors.Is(err, redis.ErrClosed) {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

// smallClient is a dedicated client that knows its Set.
type smallClient struct {
	redis.UniversalClient
	set  *Set
	size int
	once sync.Once
	err  error
}

// Unwrap returns the go-redis client inside.
func (c *smallClient) Unwrap() redis.UniversalClient { return c.UniversalClient }

// Close closes the client once and gives its share back to the budget.
func (c *smallClient) Close() error {
	c.once.Do(func() {
		c.err = c.UniversalClient.Close()
		c.set.common.mu.Lock()
		defer c.set.common.mu.Unlock()
		delete(c.set.common.small, c)
		c.set.common.used -= c.size
	})
	return c.err
}

// check returns the budget, or every fault of the Config.
func (cfg Config) check() (int, error) {
	limit, err := cfg.budget()
	if cfg.ClientName != "" {
		err = errors.Join(err, checkName("ClientName", cfg.ClientName))
	}
	return limit, err
}

// checkName refuses what CLIENT SETNAME would refuse on each new connection.
func checkName(what, name string) error {
	for _, r := range name {
		if r <= ' ' || r > '~' {
			return fmt.Errorf("%w: %s %q must be printable ASCII without spaces", ErrConfig, what, name)
		}
	}
	if name == "" {
		return fmt.Errorf("%w: %s is empty", ErrConfig, what)
	}
	return nil
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
