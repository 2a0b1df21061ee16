package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

// settleTime lets a worker that has just worked become idle.
const settleTime = 5 * time.Second

// idleStep is a worker process over three queues that has run one job of each
// and then has nothing to do. It prints a line when it is idle and stays so
// until its stdin ends.
func idleStep(ctx context.Context, sys system, spec stepSpec) ([]metric, error) {
	p, err := sys.Open(ctx, spec.Addr)
	if err != nil {
		return nil, err
	}
	t := newTally(len(idleQueues))
	err = withWorker(ctx, sys, spec.work(idleQueues...), t.handle, func(ctx context.Context) error {
		for i, q := range idleQueues {
			if err := p.Enqueue(ctx, q, newPayload(i), 0); err != nil {
				return err
			}
		}
		if err := t.await(ctx, lastWait); err != nil {
			return err
		}
		if err := p.Close(); err != nil {
			return err
		}
		time.Sleep(settleTime)
		if _, err := fmt.Println(idleLine); err != nil {
			return err
		}
		_, err := io.Copy(io.Discard, os.Stdin)
		return err
	})
	return []metric{}, err
}

// idleLine is what an idle child says when the counting may begin.
const idleLine = "idle"

// measureIdle counts in the parent, with MONITOR, what the idle child sends.
func measureIdle(ctx context.Context, spec stepSpec, watch time.Duration) ([]metric, error) {
	c, err := startChild(ctx, spec)
	if err != nil {
		return nil, err
	}
	out := bufio.NewReader(c.stdout)
	c.stdout = out
	line, err := out.ReadString('\n')
	if err != nil || strings.TrimSpace(line) != idleLine {
		_ = c.stdin.Close()
		_, err := c.finish(ctx)
		return nil, errors.Join(fmt.Errorf("the worker did not come to rest, but said %q", line), err)
	}
	direct, lua, countErr := countRequests(ctx, spec.Addr, watch)
	if err := c.stdin.Close(); err != nil {
		return nil, err
	}
	if _, err := c.finish(ctx); err != nil {
		return nil, err
	}
	if countErr != nil {
		return nil, countErr
	}
	return []metric{
		{Name: "requests", Unit: "1/s", Better: lower, Value: float64(direct) / watch.Seconds()},
		{Name: "commands inside Lua", Unit: "1/s", Better: lower, Value: float64(lua) / watch.Seconds()},
	}, nil
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
