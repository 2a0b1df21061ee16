package rig

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// launchRedis makes one attempt at a redis-server, without persistence or with an append-only file.
func launchRedis(ctx context.Context, kind Kind) (*server, error) {
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, fmt.Errorf("redis-server must be on PATH: %w", err)
	}
	addr, port, err := freeAddr()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "tidemill-bench-redis-")
	if err != nil {
		return nil, err
	}
	s := &server{Broker: Broker{Kind: kind, Addr: addr}, dir: dir}
	args := []string{"--bind", "127.0.0.1", "--port", port, "--save", "", "--daemonize", "no", "--dir", dir, "--loglevel", "warning"}
	if kind == RedisAOF || kind == RedisAOFRewrites {
		args = append(args, "--appendonly", "yes", "--appendfsync", "everysec")
	}
	if kind == RedisAOF {
		args = append(args, "--auto-aof-rewrite-percentage", "0")
	}
	s.cmd = exec.Command(bin, args...)
	s.cmd.SysProcAttr = dieWithParent()
	return s, s.start(ctx, s.redisReady)
}

// redisReady waits for the server's answer and checks by pid that it is ours: the steps FLUSHALL it, which must never reach
// somebody else's data.
func (s *server) redisReady(ctx context.Context) error {
	if !answers(s.Addr) {
		return errNotReady
	}
	info, err := redisInfo(ctx, s.Addr, "server")
	if err != nil {
		return fmt.Errorf("%w: %w", errNotReady, err)
	}
	if pid := info["process_id"]; pid != strconv.Itoa(s.PID) {
		return fmt.Errorf("the server at %s has pid %s, not %d", s.Addr, pid, s.PID)
	}
	s.version = info["redis_version"]
	return nil
}

// redisInfo dials addr once and parses some sections of INFO, which are asked for one by one: Redis 6.2 takes no more at once.
func redisInfo(ctx context.Context, addr string, sections ...string) (map[string]string, error) {
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	defer rdb.Close()
	var text strings.Builder
	for _, section := range sections {
		part, err := rdb.Info(ctx, section).Result()
		if err != nil {
			return nil, err
		}
		text.WriteString(part)
	}
	return parseInfo(text.String()), nil
}

// parseInfo turns the answer of INFO into a map.
func parseInfo(text string) map[string]string {
	out := make(map[string]string)
	for line := range strings.SplitSeq(text, "\n") {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			out[k] = v
		}
	}
	return out
}

// Memory is what a broker holds, in bytes: used_memory of a Redis, the database's size of a Postgres.
func Memory(ctx context.Context, b Broker) (int64, error) {
	if b.Kind == Postgres {
		return postgresSize(ctx, b)
	}
	info, err := redisInfo(ctx, b.Addr, "memory")
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(info["used_memory"], 10, 64)
}

// AppendOnlySize is how long a Redis's append-only file is, in bytes.
func AppendOnlySize(ctx context.Context, b Broker) (int64, error) {
	info, err := redisInfo(ctx, b.Addr, "persistence")
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(info["aof_current_size"], 10, 64)
}

func emptyRedis(ctx context.Context, b Broker) error {
	rdb := redis.NewClient(&redis.Options{Addr: b.Addr})
	defer rdb.Close()
	return rdb.FlushAll(ctx).Err()
}
