package conn

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// firstPing asks whether the server answers. go-redis does not interrupt a read
// when its context is cancelled, but closing the client does.
func firstPing(ctx context.Context, rdb *redis.Client) error {
	stop := context.AfterFunc(ctx, func() { _ = rdb.Close() })
	err := rdb.Ping(ctx).Err()
	if stop() {
		return err
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%w: no answer in the time given: %w", ErrUnavailable, context.Cause(ctx))
	}
	return context.Cause(ctx)
}

// explain sorts the error of a first ping and adds what mends it.
func explain(err error, opt *redis.Options) error {
	text := err.Error()
	switch {
	case redis.IsAuthError(err) && opt.Password == "":
		return fmt.Errorf("%w, none were given: %w", ErrAuth, err)
	case strings.Contains(text, "without any password configured"), strings.Contains(text, "invalid password"):
		return fmt.Errorf("%w: %w", ErrAuth, err)
	case strings.Contains(text, "DB index is out of range"):
		return fmt.Errorf("%w: the server has no database %d (its setting `databases`, 16 by default): %w", ErrConfig, opt.DB, err)
	}
	return Classify(err)
}
