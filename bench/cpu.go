package main

import (
	"context"
	"fmt"
	"strconv"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// cpuMark is the CPU time used so far by this process and by the server.
type cpuMark struct{ client, redis time.Duration }

// markCPU reads rusage of this process and INFO cpu of the server.
func markCPU(ctx context.Context, rdb *redis.Client) (cpuMark, error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return cpuMark{}, err
	}
	m := cpuMark{client: time.Duration(r.Utime.Nano() + r.Stime.Nano())}
	text, err := rdb.Info(ctx, "cpu").Result()
	if err != nil {
		return cpuMark{}, err
	}
	info := parseInfo(text)
	for _, key := range []string{"used_cpu_user", "used_cpu_sys"} {
		s, err := strconv.ParseFloat(info[key], 64)
		if err != nil {
			return cpuMark{}, fmt.Errorf("INFO cpu, %s: %w", key, err)
		}
		m.redis += time.Duration(s * float64(time.Second))
	}
	return m, nil
}

// perJob turns the CPU time since start into metrics for n jobs.
func (m cpuMark) perJob(start cpuMark, n int, prefix string) []metric {
	us := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) / float64(n) }
	return []metric{
		{Name: prefix + "client CPU", Unit: "us/job", Better: lower, Value: us(m.client - start.client)},
		{Name: prefix + "redis CPU", Unit: "us/job", Better: lower, Value: us(m.redis - start.redis)},
	}
}
