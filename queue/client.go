package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/bus"
	"github.com/tidemill/tidemill/internal/conn"
	"github.com/tidemill/tidemill/internal/keys"
)

// DefaultURL is where Open looks when it is given no URL.
const DefaultURL = "redis://127.0.0.1:6379/0"

// DefaultMaxPayload is the largest payload unless Config says otherwise, in bytes.
const DefaultMaxPayload = 1 << 20

// Config is a client's settings; the zero value works.
type Config struct {
	Namespace      string     // first part of every key; default "tm"
	MaxConnections int        // of the whole process, workers included; default 50, at least 4
	MaxPayload     int        // bytes; default 1 MiB, at most 64 MiB
	Codec          Codec      // default JSON
	Durability     Durability // what every enqueue waits for, unless Durable says; default: nothing
	// Lifecycle names the queues whose jobs' lives this client tells on topics: what it creates, cancels and redrives is
	// published as an Event; "*" is all queues. Default: none, at no cost. Workers tell the rest (worker.Queue.Lifecycle).
	Lifecycle []string
	Logger    zerolog.Logger // default: silent
}

func (c *Config) validate() error {
	var faults []error
	if c.MaxPayload < 0 || c.MaxPayload > 64<<20 {
		faults = append(faults, invalid("MaxPayload", fmt.Sprint(c.MaxPayload), "1 to 67108864 bytes; 0 = 1 MiB"))
	}
	if c.MaxConnections < 0 {
		faults = append(faults, invalid("MaxConnections", fmt.Sprint(c.MaxConnections), "4 or more; 0 = 50"))
	}
	if err := c.Durability.check("Durability"); err != nil {
		faults = append(faults, err)
	}
	if c.MaxPayload == 0 {
		c.MaxPayload = DefaultMaxPayload
	}
	if c.Codec == nil {
		c.Codec = JSON
	}
	if name := c.Codec.Name(); name == "" || len(name) > maxKindLen || !utf8.ValidString(name) {
		faults = append(faults, invalid("Codec", fmt.Sprintf("%.140q", name), fmt.Sprintf("a name of 1 to %d bytes", maxKindLen)))
	}
	return errors.Join(faults...)
}

// Client enqueues jobs and steers them. One serves a whole process: open it at start, close it at the end. It is safe
// for concurrent use.
type Client struct {
	conn     *conn.Set
	broker   *broker.Broker
	space    keys.Space
	config   Config
	producer uuid.UUID
	server   conn.Server   // as it was at the start
	wait     time.Duration // for how long one command may wait
	retries  bool          // the shared client sends again by itself: its last error hides what came before
	queues   sync.Map      // name -> *lane group
	waiters  sync.Pool     // of *waiter; a client's own, since a channel must not cross from one synctest bubble to another
	express  *broker.Express
	convoy   convoy   // of who has taken the express connection
	endings  *endings // what Wait is told
	outbox   *bus.Outbox[Event]
	life     context.Context
	end      context.CancelFunc
}

// Open connects to Redis by a URL: redis://, rediss:// (TLS) or unix://, with user, password and database;
// redis+sentinel://host,host/name for the primary that Sentinels watch; redis+cluster://host,host for a Cluster (either with
// rediss+ for TLS). docs/topologies.md has the parameters. An empty one is DefaultURL. At most one Config may be given. It checks the server and refuses one that would lose jobs: too old,
// evicting, or a read-only replica. Errors: ErrInvalid, ErrUnavailable, or what the server said.
func Open(ctx context.Context, url string, config ...Config) (*Client, error) {
	if url == "" {
		url = DefaultURL
	}
	return start(ctx, config, func(c conn.Config) (*conn.Set, error) { return conn.Open(ctx, url, c) })
}

// New makes a client around one that the caller has and goes on owning: a *redis.Client or *redis.ClusterClient. Small
// clients of the same options are opened beside it for what must not wait (blocking pops, heartbeats).
// It checks the server as Open does, within 5 s.
func New(rdb redis.UniversalClient, config ...Config) (*Client, error) {
	ctx, cancel := context.WithTimeout(context.Background(), connectFor)
	defer cancel()
	return start(ctx, config, func(c conn.Config) (*conn.Set, error) { return conn.Wrap(rdb, c) })
}

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
	if err == nil {
		err = checkLifecycle(cfg.Lifecycle, space)
	}
	if err := errors.Join(cfg.validate(), err); err != nil {
		return nil, err
	}
	cfg.Lifecycle = slices.Clone(cfg.Lifecycle)
	set, err := connect(conn.Config{MaxConnections: cfg.MaxConnections, Logger: cfg.Logger, ClientName: "tidemill"})
	if err != nil {
		return nil, outward(err)
	}
	server, warnings, err := set.Check(ctx)
	if err != nil {
		return nil, errors.Join(outward(err), set.Close())
	}
	for _, w := range warnings {
		cfg.Logger.Warn().Msg(w)
	}
	c := &Client{conn: set, broker: broker.New(set.Shared(), space), space: space, config: cfg, producer: uuid.New(),
		server: server, wait: waitFor(set.ReadTimeout())}
	single, ok := set.Shared().(*redis.Client)
	c.retries = !ok || single.Options().MaxRetries > 0
	c.life, c.end = context.WithCancel(context.Background())
	c.endings, c.outbox, c.express = newEndings(c), newOutbox(c), newExpress(set, space)
	return c, nil
}

// Close ends the client: calls under way are answered, or fail with ErrOutcomeUnknown or (surely not sent) ErrClosed; calls
// that come later fail with ErrClosed. A client passed to New stays open. Closing twice is fine.
func (c *Client) Close() error {
	c.end()
	c.flushEvents()
	c.express.Close()
	err := c.conn.Close()
	c.endings.wait()
	return err
}

// Redis is the shared client, for commands beside the queue and for package pubsub. Do not block on it.
func (c *Client) Redis() redis.UniversalClient { return c.conn.Shared() }

// Namespace is the first part of every key.
func (c *Client) Namespace() string { return c.space.Name() }

// Engine is what package worker builds on; its types are internal and it promises nothing to others.
func (c *Client) Engine() Engine {
	return Engine{Broker: c.broker, Conn: c.conn, Space: c.space, Codec: c.config.Codec, Logger: c.config.Logger, Outbox: c.outbox}
}

// Engine is the inside of a client, for package worker.
type Engine struct {
	Broker *broker.Broker
	Conn   *conn.Set
	Space  keys.Space
	Codec  Codec
	Logger zerolog.Logger
	Outbox *bus.Outbox[Event]
}

// Ping asks Redis for a sign of life. Errors: ErrUnavailable, ErrClosed.
func (c *Client) Ping(ctx context.Context) error {
	if err := c.closed(); err != nil {
		return err
	}
	return outward(c.conn.Shared().Ping(ctx).Err())
}

// closed answers ErrClosed once the client is: one passed to New goes on working and would carry calls out.
func (c *Client) closed() error {
	if c.life.Err() != nil {
		return ErrClosed
	}
	return nil
}

// outward makes an error of the floors below one that callers can tell apart.
func outward(err error) error {
	switch {
	case err == nil, errors.Is(err, ErrUnavailable), errors.Is(err, ErrClosed), errors.Is(err, ErrInvalid):
		return err
	case errors.Is(err, redis.ErrClosed):
		return fmt.Errorf("%w: %w", ErrClosed, err)
	case errors.Is(err, broker.ErrExpired): // Redis, or the way there, is that slow
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	case errors.Is(err, conn.ErrConfig):
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return conn.Classify(err)
}

// uncertain is outward for a call that is not sent again: where its reply was lost it may have been carried out. Hidden:
// the client may have sent it before the try that this error is about.
func uncertain(err error, hidden bool) error {
	if err = outward(err); errors.Is(err, ErrUnavailable) && (hidden || !refused(err)) {
		return fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
	}
	return err
}

// resendFor bounds how long a call is sent again while its outcome is unknown.
const resendFor = 60 * time.Second

// connectFor bounds how long a call waits for a Redis that refuses connections.
const connectFor = 5 * time.Second
