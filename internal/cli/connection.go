package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/pflag"

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

// Connection is the flags --redis and --namespace. A flag wins over the environment, that over the default; a variable
// that is set and empty counts as not set.
type Connection struct {
	redis, namespace string
	flags            *pflag.FlagSet
}

// AddFlags puts the flags into a set.
func (c *Connection) AddFlags(flags *pflag.FlagSet) {
	c.flags = flags
	flags.StringVar(&c.redis, "redis", "", "Redis `URL`: redis://, rediss:// (TLS) or unix:// (env "+EnvRedis+", default "+queue.DefaultURL+")")
	flags.StringVar(&c.namespace, "namespace", "", "first part of every key in Redis (env "+EnvNamespace+", default tm)")
}

// URL answers which Redis is meant and which of FromFlag, FromEnv and FromDefault said so. It may hold a password.
func (c *Connection) URL() (url, from string) {
	if c.flags.Changed("redis") {
		return c.redis, FromFlag
	}
	if env := os.Getenv(EnvRedis); env != "" {
		return env, FromEnv
	}
	return queue.DefaultURL, FromDefault
}

// Namespace is the namespace given, empty for the default one.
func (c *Connection) Namespace() string {
	if c.flags.Changed("namespace") {
		return c.namespace
	}
	return os.Getenv(EnvNamespace)
}

// Check is a usage error where a flag was given nothing: most often the value of a shell variable that is not set, and
// falling back to the default would send jobs to another Redis than was meant.
func (c *Connection) Check() error {
	for _, name := range []string{"redis", "namespace"} {
		if flag := c.flags.Lookup(name); flag.Changed && flag.Value.String() == "" {
			return Usage(fmt.Errorf("--%s is given and empty; leave it out for the default", name))
		}
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
	switch {
	case err == nil:
		return client, nil
	case errors.Is(err, queue.ErrInvalid):
		return nil, Usage(err)
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	}
	return nil, &Unreachable{Addr: Address(url), From: from, Err: err}
}
