//go:build unix

package chaos

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
)

// failover kills the primary, waits until the replica has taken over, and brings the old one back as its replica. It
// returns when that is in sync again: a replica that is not has not confirmed anything, and would take it all away.
func (a *arena) failover(ctx context.Context, s *Strike) error {
	a.outage.Lock()
	defer a.outage.Unlock()
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), restartWithin)
	defer cancel()
	old, err := a.primary(within)
	if err != nil {
		return err
	}
	s.From = time.Now().UnixMicro()
	defer func() { s.To = time.Now().UnixMicro() }()
	old.Kill()
	next, err := a.primary(within)
	for ; err == nil && next == old; next, err = a.primary(within) {
		pause(within, 50*time.Millisecond)
	}
	if err != nil {
		return err
	}
	if err := old.Restart(within); err != nil {
		return err
	}
	return inSync(within, next, old)
}

// primary is the server that the Sentinel names.
func (a *arena) primary(ctx context.Context) (*redisserver.Server, error) {
	rdb := redis.NewSentinelClient(&redis.Options{Addr: a.sentinel.Watchers[0].Addr(), DisableIdentity: true})
	defer func() { _ = rdb.Close() }()
	at, err := rdb.GetMasterAddrByName(ctx, redistest.PrimaryName).Result()
	if err != nil {
		return nil, err
	}
	for _, srv := range a.sentinel.Data {
		if srv.Addr() == net.JoinHostPort(at[0], at[1]) {
			return srv, nil
		}
	}
	return nil, fmt.Errorf("the Sentinel names %v, which is no server of ours", at)
}

// inSync returns when one server replicates from the other and has caught up.
func inSync(ctx context.Context, primary, replica *redisserver.Server) error {
	rdb := redis.NewClient(&redis.Options{Addr: replica.Addr(), DisableIdentity: true})
	defer func() { _ = rdb.Close() }()
	for ; ctx.Err() == nil; pause(ctx, 50*time.Millisecond) {
		info, err := rdb.Info(ctx, "replication").Result()
		if err == nil && strings.Contains(info, "master_link_status:up") &&
			strings.Contains(info, fmt.Sprintf("master_port:%d\r", primary.Port())) {
			return nil
		}
	}
	return fmt.Errorf("the old primary did not become a replica: %w", ctx.Err())
}
