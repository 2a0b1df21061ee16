package rig

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Usage is the CPU time used so far by this process and by the broker, and the bytes that a Redis has received and sent.
type Usage struct {
	client, broker time.Duration
	in, out        int64
	counted        bool // in and out
}

// MarkUsage reads rusage of this process, and INFO of a Redis or /proc of a Postgres, which does not count bytes.
func MarkUsage(ctx context.Context, b Broker) (Usage, error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return Usage{}, err
	}
	m := Usage{client: time.Duration(r.Utime.Nano() + r.Stime.Nano())}
	var err error
	if b.Kind == Postgres {
		m.broker, err = processTreeCPU(b.PID)
		return m, err
	}
	err = m.readRedis(ctx, b.Addr)
	return m, err
}

// readRedis fills in what a Redis server itself says.
func (m *Usage) readRedis(ctx context.Context, addr string) error {
	info, err := redisInfo(ctx, addr, "cpu", "stats")
	if err != nil {
		return err
	}
	for _, key := range []string{"used_cpu_user", "used_cpu_sys"} {
		s, err := strconv.ParseFloat(info[key], 64)
		if err != nil {
			return fmt.Errorf("INFO cpu, %s: %w", key, err)
		}
		m.broker += time.Duration(s * float64(time.Second))
	}
	for key, field := range map[string]*int64{"total_net_input_bytes": &m.in, "total_net_output_bytes": &m.out} {
		if *field, err = strconv.ParseInt(info[key], 10, 64); err != nil {
			return fmt.Errorf("INFO stats, %s: %w", key, err)
		}
	}
	m.counted = true
	return nil
}

// clockTick is the unit of CPU time in /proc on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// processTreeCPU is that of a process, the children it has and those it had.
func processTreeCPU(pid int) (time.Duration, error) {
	ticks, _, err := processTicks(fmt.Sprintf("/proc/%d/stat", pid), true)
	if err != nil {
		return 0, err
	}
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	for _, file := range files {
		// One that has ended meanwhile is in its parent's sum the next time.
		if n, parent, err := processTicks(file, false); err == nil && parent == pid {
			ticks += n
		}
	}
	return time.Duration(ticks) * clockTick, nil
}

// processTicks reads user and system time from a stat file, and those of children waited for.
func processTicks(file string, children bool) (ticks int64, parent int, err error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0, 0, err
	}
	// The second field, the name in brackets, may hold anything. Counted from the state after it, the parent is 1 and the
	// times are 11 to 14.
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	last := 12
	if children {
		last = 14
	}
	if len(fields) <= last {
		return 0, 0, fmt.Errorf("%s: too few fields", file)
	}
	for _, field := range fields[11 : last+1] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("%s: %w", file, err)
		}
		ticks += n
	}
	parent, err = strconv.Atoi(fields[1])
	return ticks, parent, err
}

// Busy is which part of all processors' time from start to m the two used, in percent.
func (m Usage) Busy(start Usage, wall time.Duration) Metric {
	used := (m.client - start.client) + (m.broker - start.broker)
	return Metric{Name: "machine busy", Unit: "%", Better: Lower, Value: 100 * used.Seconds() / wall.Seconds() / float64(runtime.NumCPU())}
}

// Per turns what was used since start into metrics for n jobs or messages: CPU of this process and of the server, and the
// bytes that a Redis received and sent (the few thousand of the marks themselves included).
func (m Usage) Per(what string, n int, start Usage, prefix string) []Metric {
	us := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) / float64(n) }
	out := []Metric{
		{Name: prefix + "client CPU", Unit: "us/" + what, Better: Lower, Value: us(m.client - start.client)},
		{Name: prefix + "server CPU", Unit: "us/" + what, Better: Lower, Value: us(m.broker - start.broker)},
	}
	if m.counted {
		out = append(out,
			Metric{Name: prefix + "network in", Unit: "bytes/" + what, Better: Lower, Value: float64(m.in-start.in) / float64(n)},
			Metric{Name: prefix + "network out", Unit: "bytes/" + what, Better: Lower, Value: float64(m.out-start.out) / float64(n)})
	}
	return out
}
