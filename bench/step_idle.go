package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/tidemill/tidemill/bench/internal/rig"
)

// settleTime lets a worker that has just worked become idle.
const settleTime = 5 * time.Second

// idleStep is a worker process over three queues that has run one job of each
// and then has nothing to do. It prints a line when it is idle and stays so
// until its stdin ends.
func idleStep(ctx context.Context, sys adapter, spec stepSpec) ([]rig.Metric, error) {
	c, err := sys.Open(ctx, spec.Broker)
	if err != nil {
		return nil, err
	}
	t := rig.NewTally(len(idleQueues))
	err = withWorker(ctx, sys, spec.work(idleQueues...), t.Handle, func(ctx context.Context) error {
		for i, q := range idleQueues {
			if err := c.Enqueue(ctx, q, rig.NewPayload(i), 0); err != nil {
				return err
			}
		}
		if err := t.Await(ctx, lastWait); err != nil {
			return err
		}
		if err := c.Close(); err != nil {
			return err
		}
		time.Sleep(settleTime)
		if _, err := fmt.Println(idleLine); err != nil {
			return err
		}
		_, err := io.Copy(io.Discard, os.Stdin)
		return err
	})
	return nil, err
}

// idleLine is what an idle child says when the counting may begin.
const idleLine = "idle"

// measureIdle counts in the parent what the idle child sends: with MONITOR, or
// the transactions of a Postgres.
func measureIdle(ctx context.Context, spec stepSpec, watch time.Duration) ([]rig.Metric, error) {
	c, err := startStep(ctx, "idle", spec)
	if err != nil {
		return nil, err
	}
	if err := c.Line(ctx, idleLine); err != nil {
		return nil, err
	}
	metrics, countErr := countIdle(ctx, spec.Broker, watch)
	if err := c.Stdin.Close(); err != nil {
		return nil, err
	}
	if _, err := c.Finish(ctx); err != nil {
		return nil, err
	}
	return metrics, countErr
}

// countIdle watches a broker for a while.
func countIdle(ctx context.Context, b rig.Broker, watch time.Duration) ([]rig.Metric, error) {
	rate := func(name string, n int) rig.Metric {
		return rig.Metric{Name: name, Unit: "1/s", Better: rig.Lower, Value: float64(n) / watch.Seconds()}
	}
	if b.Kind == rig.Postgres {
		before, err := rig.Transactions(ctx, b)
		if err != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(watch):
		}
		after, err := rig.Transactions(ctx, b)
		return []rig.Metric{rate("transactions", int(after-before))}, err
	}
	direct, lua, err := countRequests(ctx, b.Addr, watch)
	return []rig.Metric{rate("requests", direct), rate("commands inside Lua", lua)}, err
}

// countRequests listens to MONITOR for a while and counts commands sent by
// clients, and apart from them those run inside Lua.
func countRequests(ctx context.Context, addr string, watch time.Duration) (direct, lua int, err error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return 0, 0, err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("MONITOR\r\n")); err != nil {
		return 0, 0, err
	}
	if err := conn.SetReadDeadline(time.Now().Add(watch)); err != nil {
		return 0, 0, err
	}
	r := bufio.NewReaderSize(conn, 1<<16)
	if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "+OK") {
		return 0, 0, fmt.Errorf("MONITOR answered %q: %w", line, err)
	}
	for {
		line, err := r.ReadString('\n')
		if e, ok := err.(net.Error); ok && e.Timeout() {
			return direct, lua, ctx.Err()
		}
		if err != nil {
			return 0, 0, fmt.Errorf("MONITOR: %w", err)
		}
		if monitorLineIsLua(line) {
			lua++
		} else {
			direct++
		}
	}
}

// monitorLineIsLua tells a command run by a script, whose client reads
// "[0 lua]", from one that came over the wire, "[0 127.0.0.1:1234]".
func monitorLineIsLua(line string) bool {
	_, rest, _ := strings.Cut(line, "[")
	client, _, _ := strings.Cut(rest, "]")
	return strings.HasSuffix(client, " lua")
}
