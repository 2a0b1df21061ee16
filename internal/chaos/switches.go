//go:build unix

package chaos

import (
	"context"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redistest"
)

// unseen is how long before the Sentinel's word a primary may have been held for dead.
const unseen = 2 * time.Second

// switches notes every failover that the Sentinel makes, also by itself: it takes a primary that a loaded machine starves
// for a dead one, and what no replica has confirmed is lost as with any other. It returns when ctx ends.
func (a *arena) switches(ctx context.Context) {
	rdb := redis.NewSentinelClient(&redis.Options{Addr: a.sentinel.Watchers[0].Addr(), DisableIdentity: true})
	defer func() { _ = rdb.Close() }()
	sub := rdb.Subscribe(ctx, "+sdown", "+switch-master")
	defer func() { _ = sub.Close() }()
	events := sub.Channel()
	var from time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case event, open := <-events:
			if !open {
				return
			}
			switch {
			case event.Channel == "+switch-master":
				if from.IsZero() {
					from = time.Now().Add(-unseen)
				}
				a.mu.Lock()
				a.report = append(a.report, Strike{Kind: Failover, Way: noticed, From: from.UnixMicro(), To: time.Now().UnixMicro()})
				a.mu.Unlock()
				from = time.Time{}
			case strings.HasPrefix(event.Payload, "master "+redistest.PrimaryName):
				from = time.Now().Add(-unseen)
			}
		}
	}
}
