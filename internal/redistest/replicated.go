package redistest

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/internal/redisserver"
)

// NewReplicated starts a primary, which is the first, and so many replicas of
// it. It answers when they are in sync.
func NewReplicated(t testing.TB, replicas int, opts ...Option) []*redisserver.Server {
	t.Helper()
	fast := WithConfig("repl-diskless-sync-delay 0", "repl-ping-replica-period 1")
	primary := Server(t, append([]Option{fast}, opts...)...)
	all := []*redisserver.Server{primary}
	of := WithConfig("replicaof 127.0.0.1 " + strconv.Itoa(primary.Port()))
	for range replicas {
		all = append(all, Server(t, append([]Option{fast, of}, opts...)...))
	}
	for _, replica := range all[1:] {
		AwaitSync(t, replica)
	}
	return all
}

// EachReplicated is EachServer with replicas of the same version.
func EachReplicated(t *testing.T, replicas int, run func(t *testing.T, all []*redisserver.Server), opts ...Option) {
	t.Helper()
	eachBinary(t, func(t *testing.T, binary Option) {
		run(t, NewReplicated(t, replicas, append(slices.Clone(opts), binary)...))
	})
}

// AwaitSync answers when a replica has what its primary has.
func AwaitSync(t testing.TB, replica *redisserver.Server) {
	t.Helper()
	rdb := Client(t, replica)
	WaitFor(t, settleWithin, func() bool {
		return strings.Contains(rdb.Info(context.Background(), "replication").Val(), "master_link_status:up")
	}, "a replica to be in sync")
}
