package redistest

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redisserver"
)

// PrimaryName is the name under which Sentinels watch the primary.
const PrimaryName = "mymaster"

const (
	// settleWithin is generous: a loaded CI machine is slow, not broken.
	settleWithin = 30 * time.Second
	// downAfter is how long a server must be silent to be held for dead, ms.
	downAfter = 1000
)

// Sentinel is a primary with replicas, and a Sentinel that replaces it. Other
// tests' servers do not disturb it.
type Sentinel struct {
	Data     []*redisserver.Server // the first is the primary at the start
	Watchers []*redisserver.Server
}

// NewSentinel starts one primary, so many replicas, and so many Sentinels, whose
// quorum is a majority. It answers when the Sentinels know each other and the
// replicas.
func NewSentinel(t testing.TB, replicas, watchers int, opts ...Option) *Sentinel {
	t.Helper()
	s := &Sentinel{}
	s.Data = NewReplicated(t, replicas, opts...)
	primary := s.Data[0]
	for range watchers {
		o := options(t, nil)
		o.Sentinel = true
		o.Extra = []string{
			fmt.Sprintf("sentinel monitor %s 127.0.0.1 %d %d", PrimaryName, primary.Port(), watchers/2+1),
			fmt.Sprintf("sentinel down-after-milliseconds %s %d", PrimaryName, downAfter),
			fmt.Sprintf("sentinel failover-timeout %s 5000", PrimaryName),
		}
		srv, err := launch(t, o)
		if err != nil {
			t.Fatalf("redistest: %v", err)
		}
		s.Watchers = append(s.Watchers, srv)
	}
	want := fmt.Sprintf("status=ok,address=%s,slaves=%d,sentinels=%d", primary.Addr(), replicas, watchers)
	for _, watcher := range s.Watchers {
		rdb := Client(t, watcher)
		WaitFor(t, settleWithin, func() bool {
			return strings.Contains(rdb.Info(context.Background(), "sentinel").Val(), want)
		}, "a Sentinel to see all")
	}
	return s
}

// URL is the redis+sentinel:// URL.
func (s *Sentinel) URL() string {
	addrs := make([]string, len(s.Watchers))
	for i, w := range s.Watchers {
		addrs[i] = w.Addr()
	}
	return "redis+sentinel://" + strings.Join(addrs, ",") + "/" + PrimaryName
}

// Primary is the server that the first Sentinel names.
func (s *Sentinel) Primary(t testing.TB) *redisserver.Server {
	t.Helper()
	host, port, err := s.named(t)
	if err != nil {
		t.Fatalf("redistest: %v", err)
	}
	for _, srv := range s.Data {
		if srv.Addr() == net.JoinHostPort(host, port) {
			return srv
		}
	}
	t.Fatalf("redistest: the Sentinel names %s:%s", host, port)
	return nil
}

func (s *Sentinel) named(t testing.TB) (host, port string, err error) {
	client := redis.NewSentinelClient(&redis.Options{Addr: s.Watchers[0].Addr(), MaxRetries: -1, DisableIdentity: true})
	defer func() { _ = client.Close() }()
	at, err := client.GetMasterAddrByName(context.Background(), PrimaryName).Result()
	if err != nil {
		return "", "", err
	}
	return at[0], at[1], nil
}

// Failover has the Sentinel replace the primary, which lives on as a replica,
// and answers when another server has taken over.
func (s *Sentinel) Failover(t testing.TB) {
	t.Helper()
	old := s.Primary(t)
	rdb := Client(t, s.Watchers[0])
	WaitFor(t, settleWithin, func() bool { // for a moment after the start it has no good replica
		return rdb.Do(context.Background(), "SENTINEL", "FAILOVER", PrimaryName).Err() == nil
	}, "the Sentinel to begin a failover")
	s.AwaitOther(t, old)
}

// AwaitOther answers when another server than old has taken over.
func (s *Sentinel) AwaitOther(t testing.TB, old *redisserver.Server) {
	t.Helper()
	WaitFor(t, settleWithin, func() bool {
		host, port, err := s.named(t)
		return err == nil && net.JoinHostPort(host, port) != old.Addr()
	}, "the Sentinel to name another primary")
	rdb := Client(t, s.Primary(t))
	WaitFor(t, settleWithin, func() bool {
		return strings.Contains(rdb.Info(context.Background(), "replication").Val(), "role:master")
	}, "the new primary to know that it is one")
}
