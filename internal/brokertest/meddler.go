package brokertest

import (
	"context"
	"strings"

	"github.com/redis/go-redis/v9"
)

// words is a client that notes the script commands sent, and refuses marked reads where it is to.
type words struct {
	redis.UniversalClient
	seen   []string
	refuse string
}

func (w *words) Process(ctx context.Context, cmd redis.Cmder) error {
	name := cmd.Name()
	w.seen = append(w.seen, name)
	if strings.HasSuffix(name, "_ro") && w.refuse != "" {
		cmd.SetErr(refusal(w.refuse))
		return cmd.Err()
	}
	return w.UniversalClient.Process(ctx, cmd)
}

// refusal is an error reply of the server.
type refusal string

func (r refusal) Error() string { return string(r) }
func (r refusal) RedisError()   {}

// meddler is a client under which something happens right after the sessions were read, a number of times.
type meddler struct {
	redis.UniversalClient
	after func()
	times int
}

func (m *meddler) ZRange(ctx context.Context, key string, start, stop int64) *redis.StringSliceCmd {
	cmd := m.UniversalClient.ZRange(ctx, key, start, stop)
	if m.times > 0 {
		m.times--
		m.after()
	}
	return cmd
}
