package pubsub

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/internal/bus"
	"github.com/tidemill/tidemill/internal/conn"
	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/loop"
)

// DefaultURL is where Open looks when it is given no URL.
const DefaultURL = "redis://127.0.0.1:6379/0"

// DefaultMaxMessage is how large the data of one message may be unless Config says otherwise, in bytes.
const DefaultMaxMessage = 1 << 20

// Config is a client's settings; the zero value works.
type Config struct {
	Namespace      string         // first part of the keys of durable topics; default "tm". Channels are the topics' names
	MaxConnections int            // of a client that Open made; default 50, at least 4. New shares those of the client it is given
	MaxMessage     int            // data of one message, bytes; default 1 MiB, at most 64 MiB. It bounds what is published only
	Codec          Codec          // default JSON
	Logger         zerolog.Logger // default: silent
}

func (c *Config) validate() error {
	var faults []error
	if c.MaxMessage < 0 || c.MaxMessage > 64<<20 {
		faults = append(faults, invalid("MaxMessage", fmt.Sprint(c.MaxMessage), "1 to 67108864 bytes; 0 = 1 MiB"))
	}
	if c.MaxConnections < 0 {
		faults = append(faults, invalid("MaxConnections", fmt.Sprint(c.MaxConnections), "4 or more; 0 = 50"))
	}
	if c.MaxMessage == 0 {
		c.MaxMessage = DefaultMaxMessage
	}
	if c.Codec == nil {
		c.Codec = JSON
	}
	return errors.Join(append(faults, checkCodec("Codec", c.Codec))...)
}

// Client publishes and subscribes. One serves a whole process: open it at start, close it at the end. It is safe for
// concurrent use.
type Client struct {
	set     *conn.Set
	space   keys.Space
	config  Config
	server  conn.Server // as it was at the start
	hub     *bus.Hub
	outbox  outbox
	streams *bus.Streams
	counts  counts
	trouble *loop.Limiter // of what would flood the log
	life    context.Context
	end     context.CancelFunc

	mu      sync.Mutex
	groups  map[groupKey]any // *group[T]: the subscriptions of the process that share messages
	members map[*member]struct{}
}

// Open connects to Redis by a URL: redis://, rediss:// (TLS) or unix://, with user, password and database;
// redis+sentinel://host,host/name for the primary that Sentinels watch; redis+cluster://host,host for a Cluster (either
// with rediss+ for TLS). docs/topologies.md has the parameters. An empty one is DefaultURL. At most one Config may be
// given. It checks the server, and refuses one that is too old or a read-only replica; one that may evict data is good
// for live topics, and gets a line in the log. Errors: ErrInvalid, ErrUnavailable, ErrAuth, ErrUnsupported, ErrReadOnly,
// or what the server said.
func Open(ctx context.Context, url string, config ...Config) (*Client, error) {
	if url == "" {
		url = DefaultURL
	}
	return start(ctx, config, func(c conn.Config) (*conn.Set, error) { return conn.Open(ctx, url, c) })
}

// New makes a client around one that the caller has and goes on owning: a *redis.Client or *redis.ClusterClient. Of one that
// a Tidemill client handed over, such as (*queue.Client).Redis(), it shares the connection budget and the subscription
// connection. It checks the server as Open does, within 5 s.
func New(rdb redis.UniversalClient, config ...Config) (*Client, error) {
	ctx, cancel := context.WithTimeout(context.Background(), connectFor)
	defer cancel()
	return start(ctx, config, func(c conn.Config) (*conn.Set, error) { return conn.Wrap(rdb, c) })
}

// connectFor bounds how long New waits for the server.
const connectFor = 5 * time.Second

func start(ctx context.Context, config []Config, connect func(conn.Config) (*conn.Set, error)) (*Client, error) {
	var cfg Config
	if len(config) > 1 {
		return nil, invalid("config", fmt.Sprintf("%d of them", len(config)), "at most one")
	}
	if len(config) == 1 {
		cfg = config[0]
	}
	space, err := keys.NewSpace(cfg.Namespace)
	if err != nil {
		err = fmt.Errorf("%w %w", ErrInvalid, err)
	}
	if err := errors.Join(cfg.validate(), err); err != nil {
		return nil, err
	}
	set, err := connect(conn.Config{MaxConnections: cfg.MaxConnections, Logger: cfg.Logger, ClientName: "tidemill"})
	if err != nil {
		return nil, outward(err)
	}
	server, warnings, err := set.CheckLive(ctx)
	if err != nil {
		return nil, errors.Join(outward(err), set.Close())
	}
	for _, w := range warnings {
		cfg.Logger.Warn().Msg(w)
	}
	c := &Client{set: set, space: space, config: cfg, server: server, hub: bus.HubOf(set), streams: bus.NewStreams(set.Shared(), space),
		trouble: loop.NewLimiter(0), groups: make(map[groupKey]any), members: make(map[*member]struct{})}
	c.life, c.end = context.WithCancel(context.Background())
	c.outbox.client, c.outbox.send = c, c.send
	return c, nil
}

// Close ends every subscription of the client, as their own Close does, and then the client: calls under way are answered
// or fail with ErrOutcomeUnknown, calls that come later fail with ErrClosed. A client passed to New stays open. Closing
// twice is fine.
func (c *Client) Close() error {
	c.end()
	c.closeMembers()
	for _, g := range c.takeGroups() {
		g.shut()
	}
	return c.set.Close()
}

// takeGroups answers all groups of a client that takes no more of them.
func (c *Client) takeGroups() []interface{ shut() } {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]interface{ shut() }, 0, len(c.groups))
	for _, g := range c.groups {
		all = append(all, g.(interface{ shut() }))
	}
	return all
}

// closed answers ErrClosed once the client is: one passed to New goes on working and would carry calls out.
func (c *Client) closed() error {
	if c.life.Err() != nil {
		return ErrClosed
	}
	return nil
}

// Redis is the shared client, for commands beside the messages. Do not block on it.
func (c *Client) Redis() redis.UniversalClient { return c.set.Shared() }

// Ping asks Redis for a sign of life. Errors: ErrUnavailable, ErrClosed.
func (c *Client) Ping(ctx context.Context) error {
	if err := c.closed(); err != nil {
		return err
	}
	return outward(c.set.Shared().Ping(ctx).Err())
}
