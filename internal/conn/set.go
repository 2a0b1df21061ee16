package conn

import (
	"context"
	"errors"
	"fmt"
	"sync"

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
	owned  bool
	addr   string
	name   string
	limit  int

	single  *redis.Options        // what small clients are derived from,
	cluster *redis.ClusterOptions // one of the two

	mu     sync.Mutex
	used   int
	small  map[*smallClient]struct{}
	closed bool
}

// Open connects to the server at url, which is redis://, rediss:// (TLS) or
// unix://, and pings it once. Parameters of the URL set timeouts (2 s to dial,
// 5 s to read and write otherwise) and pool sizes within the budget; one that is
// unknown, or would undo a rule of the package, is an error.
//
// Errors are ErrConfig, ErrUnavailable, ErrAuth or the server's own. None of
// them holds the password. The caller closes the Set.
func Open(ctx context.Context, url string, cfg Config) (*Set, error) {
	limit, err := cfg.check()
	if err != nil {
		return nil, err
	}
	opt, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	if opt.ClientName == "" {
		opt.ClientName = cfg.ClientName
	} else if err := checkName("client_name", opt.ClientName); err != nil {
		return nil, err
	}
	part, err := sizePools(opt, limit)
	if err != nil {
		return nil, err
	}
	quietLibrary(cfg.Logger)
	ours(opt, opt.PoolSize)
	opt.Dialer = newDialer(opt)
	rdb := redis.NewClient(opt)
	if err := firstPing(ctx, rdb); err != nil {
		_ = rdb.Close()
		return nil, fmt.Errorf("redis at %s: %w", opt.Addr, explain(err, opt))
	}
	return &Set{
		shared: rdb, owned: true, addr: opt.Addr, name: opt.ClientName, limit: limit,
		single: opt, used: part, small: map[*smallClient]struct{}{},
	}, nil
}

// Wrap builds a Set around a client of the caller's, who goes on owning it: it is
// never closed or changed here and must outlive the Set. Small clients are
// derived from its options, its dialer included, without its hooks. Only a
// *redis.Client (also one from NewFailoverClient) and a *redis.ClusterClient can
// be copied so; another type is an ErrConfig that names it. Nothing is sent.
func Wrap(rdb redis.UniversalClient, cfg Config) (*Set, error) {
	limit, err := cfg.check()
	if err != nil {
		return nil, err
	}
	set := &Set{shared: rdb, name: cfg.ClientName, limit: limit, used: 1, small: map[*smallClient]struct{}{}}
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
	return set, nil
}

// Shared returns the client for commands and pipelines. Never block on it: its
// pool is what acknowledgements wait for.
func (s *Set) Shared() redis.UniversalClient { return s.shared }

// Cluster reports whether the Set talks to a Redis Cluster.
func (s *Set) Cluster() bool { return s.cluster != nil }

// Dedicated opens a small client of at most size connections, for one purpose
// that must not share a pool. A subscription takes a connection outside of the
// pool: give it a client of its own and send nothing else on it. The name is
// appended to the client name.
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
	full := ""
	if s.name != "" {
		full = s.name + ":" + name
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, fmt.Errorf("dedicated client %q: %w", name, redis.ErrClosed)
	}
	if s.used+size > s.limit {
		return nil, fmt.Errorf("%w: dedicated client %q wants %d connections, of MaxConnections=%d only %d are left: "+
			"MaxConnections must be at least %d", ErrConfig, name, size, s.limit, s.limit-s.used, s.used+size)
	}
	c := &smallClient{set: s, size: size}
	if s.cluster != nil {
		c.UniversalClient = redis.NewClusterClient(smallCluster(s.cluster, size, full))
	} else {
		c.UniversalClient = redis.NewClient(small(s.single, size, full))
	}
	s.used += size
	s.small[c] = struct{}{}
	return c, nil
}

// Close closes every small client, and the shared one if Open made it. Calls
// that wait on them return at once. Further calls do nothing.
func (s *Set) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	open := make([]*smallClient, 0, len(s.small))
	for c := range s.small {
		open = append(open, c)
	}
	s.mu.Unlock()

	var faults []error
	for _, c := range open {
		faults = append(faults, c.Close())
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
		c.set.mu.Lock()
		defer c.set.mu.Unlock()
		delete(c.set.small, c)
		c.set.used -= c.size
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
