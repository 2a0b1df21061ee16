package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/conn"
	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/pubsub"
	"github.com/tidemill/tidemill/queue"
)

// Names of the environment variables that stand in for the flags.
const (
	EnvRedis     = "REDIS_URL"
	EnvNamespace = "TIDEMILL_NAMESPACE"
)

// Where a setting came from.
const (
	FromFlag    = "--redis"
	FromEnv     = EnvRedis
	FromDefault = "default"
)

// Connection is the flags --redis, its secrets, and --namespace. A flag wins over the environment, that over a configuration file (Fallback),
// that over the default; a variable that is set and empty counts as not set.
type Connection struct {
	redis, namespace string
	secrets          Secrets
	flags            *pflag.FlagSet
	fallback         fallback
}

// fallback is what a configuration file says.
type fallback struct{ url, namespace, from string }

// Fallback sets what holds where neither a flag nor the environment says: the word of a configuration file, whose name is
// from. Empty texts leave the default.
func (c *Connection) Fallback(url, namespace, from string) {
	c.fallback = fallback{url, namespace, from}
}

// AddFlags puts the flags into a set.
func (c *Connection) AddFlags(flags *pflag.FlagSet) {
	c.flags = flags
	flags.StringVar(&c.redis, "redis", "", "Redis `URL`: redis://, rediss:// (TLS), unix://, redis+sentinel:// or redis+cluster:// (env "+
		EnvRedis+", default "+queue.DefaultURL+")")
	flags.StringVar(&c.secrets.PasswordFile, "redis-password-file", "", "`file` with the password for Redis")
	flags.StringVar(&c.secrets.CA, "tls-ca", "", "`file` with the CA certificate of a rediss:// server")
	flags.StringVar(&c.secrets.Cert, "tls-cert", "", "`file` with a client certificate for rediss://")
	flags.StringVar(&c.secrets.Key, "tls-key", "", "`file` with its key")
	flags.StringVar(&c.secrets.ServerName, "tls-server-name", "", "`name` in the server's certificate, where it is not the URL's host")
	flags.StringVar(&c.namespace, "namespace", "", "first part of every key in Redis (env "+EnvNamespace+", default tm)")
}

// URL answers which Redis is meant and which of FromFlag, FromEnv, a file's name and FromDefault said so. It may hold a password.
func (c *Connection) URL() (url, from string) {
	url, from = c.bare()
	if composed, err := Compose(url, c.secrets); err == nil { // else Check tells
		url = composed
	}
	return url, from
}

func (c *Connection) bare() (url, from string) {
	if c.flags.Changed("redis") {
		return c.redis, FromFlag
	}
	if env := os.Getenv(EnvRedis); env != "" {
		return env, FromEnv
	}
	if c.fallback.url != "" {
		return c.fallback.url, c.fallback.from
	}
	return queue.DefaultURL, FromDefault
}

// Namespace is the namespace given, empty for the default one.
func (c *Connection) Namespace() string {
	if c.flags.Changed("namespace") {
		return c.namespace
	}
	if env := os.Getenv(EnvNamespace); env != "" {
		return env
	}
	return c.fallback.namespace
}

// NamespaceFlag tells whether the flag --namespace is given.
func (c *Connection) NamespaceFlag() bool { return c.flags.Changed("namespace") }

// Check is a usage error where a flag was given nothing: most often the value of a shell variable that is not set, and
// falling back to the default would send jobs to another Redis than was meant.
func (c *Connection) Check() error {
	for _, name := range []string{"redis", "namespace", "redis-password-file", "tls-ca", "tls-cert", "tls-key", "tls-server-name"} {
		if flag := c.flags.Lookup(name); flag.Changed && flag.Value.String() == "" {
			return Usage(fmt.Errorf("--%s is given and empty; leave it out for the default", name))
		}
	}
	if _, err := keys.NewSpace(c.Namespace()); err != nil {
		switch {
		case c.NamespaceFlag():
			err = fmt.Errorf("--%w", err)
		case os.Getenv(EnvNamespace) != "":
			err = fmt.Errorf("%s: %w", EnvNamespace, err)
		}
		return Usage(err)
	}
	bare, from := c.bare()
	if err := checkScheme(bare, from); err != nil {
		return Usage(err)
	}
	if _, err := Compose(bare, c.secrets); err != nil {
		return Usage(err)
	}
	return nil
}

// Open connects and checks the server. The error is one of usage, an *Unreachable, or the cause with which ctx ended.
func (c *Connection) Open(ctx context.Context, config queue.Config) (*queue.Client, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	url, from := c.URL()
	config.Namespace = c.Namespace()
	client, err := queue.Open(ctx, url, config)
	if err == nil {
		if err = mayRead(ctx, client.SessionTTL, client.Namespace()); err == nil {
			return client, nil
		}
		err = errors.Join(err, client.Close())
	}
	return nil, c.refused(ctx, url, from, err)
}

// OpenUnjudged connects without judging the server, for whoever is to tell what is wrong with it. The errors are those of
// Open.
func (c *Connection) OpenUnjudged(ctx context.Context) (*conn.Set, keys.Space, error) {
	if err := c.Check(); err != nil {
		return nil, keys.Space{}, err
	}
	space, err := keys.NewSpace(c.Namespace())
	if err != nil {
		return nil, space, Usage(err)
	}
	url, from := c.URL()
	set, err := conn.Open(ctx, url, conn.Config{ClientName: "tidemill"})
	if err == nil {
		if err = mayRead(ctx, broker.New(set.Shared(), space).TTL, space.Name()); err == nil {
			return set, space, nil
		}
		err = errors.Join(err, set.Close())
	}
	return nil, space, c.refused(ctx, url, from, err)
}

// refused is the error of a connection that did not come about.
func (c *Connection) refused(ctx context.Context, url, from string, err error) error {
	switch {
	case errors.Is(err, queue.ErrInvalid), errors.Is(err, pubsub.ErrInvalid), errors.Is(err, conn.ErrConfig):
		return Usage(c.named(err, from))
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return &Unreachable{Addr: Address(url), From: from, Err: err}
}

// named tells a fault of the URL under the name by which whoever ran the command knows it: from, or the flag of which it is a
// part.
func (c *Connection) named(err error, from string) error {
	_, text, found := strings.Cut(err.Error(), "Redis URL: ")
	if !found {
		return err
	}
	ca, ofCA := strings.CutPrefix(text, "parameter ca_cert: ")
	pair, ofPair := strings.CutPrefix(text, "parameters client_cert")
	switch {
	case ofCA && c.secrets.CA != "":
		from, text = "--tls-ca", ca
	case ofPair && c.secrets.Cert+c.secrets.Key != "":
		from, text = "--tls-cert", strings.NewReplacer(" client_key", " --tls-key").Replace("--tls-cert"+pair)
	case from == FromDefault: // nobody wrote it
		return err
	}
	return &faultyURL{from + ": " + text, err}
}

// faultyURL is an error of package queue in other words.
type faultyURL struct {
	text string
	err  error
}

func (e *faultyURL) Error() string { return e.text }
func (e *faultyURL) Unwrap() error { return e.err }

// mayRead asks for a key of the namespace, to tell a user who may not touch any at the start. Other errors are told by
// what comes next.
func mayRead(ctx context.Context, ttl func(context.Context) (time.Duration, error), namespace string) error {
	_, err := ttl(ctx)
	if err == nil || !strings.Contains(err.Error(), "NOPERM") {
		return nil
	}
	return fmt.Errorf("%w (the keys of this namespace are ~%s:*)", err, namespace)
}
