package conn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// The oldest server whose commands the engine uses.
const floorMajor, floorMinor = 6, 2

// Check judges the server before anything is entrusted to it: version, role and
// eviction policy, on every primary of a Cluster. It returns what the server is
// (the oldest, in a Cluster) and warnings for people about what the server hides
// or what will hurt later.
//
// It refuses, with an error that says what mends it, a server that is too old,
// a Sentinel, or one that may evict data (ErrUnsupported), and a replica
// (ErrReadOnly). ErrUnavailable and ErrAuth mean that it could not ask. The
// embedded server passes without warnings.
func (s *Set) Check(ctx context.Context) (Server, []string, error) {
	server, warnings, err := s.check(ctx, checkEviction)
	if err == nil {
		s.common.mu.Lock()
		s.common.judged = &server
		s.common.mu.Unlock()
	}
	return server, warnings, err
}

// CheckLive is Check for pub/sub, which stores nothing by itself: a server that may evict data is a warning. Where a Set
// around the same client passed Check it asks nothing.
func (s *Set) CheckLive(ctx context.Context) (Server, []string, error) {
	s.common.mu.Lock()
	judged := s.common.judged
	s.common.mu.Unlock()
	if judged != nil {
		return *judged, nil, nil
	}
	return s.check(ctx, warnOfEviction)
}

// check judges each server, what becomes of its data by eviction.
func (s *Set) check(ctx context.Context, eviction evictionCheck) (Server, []string, error) {
	var warnings []string
	rdb := s.shared
	if single, ok := rdb.(*redis.Client); ok {
		srv, warnings, err := checkNode(ctx, single, s.addr, false, eviction)
		return srv, warnings, err
	}
	cluster, ok := rdb.(*redis.ClusterClient)
	if !ok {
		return Server{}, nil, fmt.Errorf("%w: a %T cannot be checked", ErrConfig, rdb)
	}
	var (
		mu     sync.Mutex
		oldest Server
		faults []error
	)
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		srv, notes, err := checkNode(ctx, node, node.Options().Addr, true, eviction)
		mu.Lock()
		defer mu.Unlock()
		if !oldest.Known() || srv.Known() && !srv.AtLeast(oldest.Major, oldest.Minor) {
			oldest = srv
		}
		for _, note := range notes {
			if !slices.Contains(warnings, note) {
				warnings = append(warnings, note)
			}
		}
		if err != nil {
			faults = append(faults, err)
		}
		return nil
	})
	return oldest, warnings, errors.Join(append(faults, Classify(err))...)
}

// evictionCheck judges what a server does when memory runs out.
type evictionCheck func(ctx context.Context, rdb *redis.Client, addr string) (warning string, err error)

// checkNode judges one server.
func checkNode(ctx context.Context, rdb *redis.Client, addr string, inCluster bool, eviction evictionCheck) (Server, []string, error) {
	var warnings []string
	srv, err := identify(ctx, rdb)
	if err != nil {
		return srv, nil, fmt.Errorf("redis at %s: %w", addr, err)
	}
	switch {
	case srv.Mode == "sentinel":
		return srv, nil, fmt.Errorf("%w: %s is a Sentinel, which holds no data: use redis+sentinel://%s/NAME, the name of the primary "+
			"that it watches%s, or pass a client made by redis.NewFailoverClient", ErrUnsupported, addr, addr, namesOf(ctx, rdb))
	case srv.Known() && !srv.AtLeast(floorMajor, floorMinor):
		return srv, nil, fmt.Errorf("%w: %s is %s, too old: Tidemill needs Redis %d.%d or newer (7.0 recommended) or Valkey",
			ErrUnsupported, addr, srv, floorMajor, floorMinor)
	case !srv.Known():
		warnings = append(warnings, fmt.Sprintf("the server hides its version; Tidemill needs Redis %d.%d or newer", floorMajor, floorMinor))
	}
	if srv.Mode == "cluster" && !inCluster && !servesAll(ctx, rdb) {
		return srv, warnings, fmt.Errorf("%w: %s has a part of a Redis Cluster's slots only, and this client talks to that node alone: "+
			"pass a redis.ClusterClient, or use redis+cluster://%s", ErrUnsupported, addr, addr)
	}
	if srv.Mode == "cluster" && !inCluster {
		warnings = append(warnings, fmt.Sprintf("%s is the only primary of a Redis Cluster, and this client talks to it alone: "+
			"use redis+cluster://%s (or a redis.ClusterClient) to follow a failover or more nodes", addr, addr))
	}
	if srv.Embedded() {
		return srv, warnings, nil
	}
	if err := checkRole(ctx, rdb, addr); err != nil {
		return srv, warnings, err
	}
	note, err := eviction(ctx, rdb, addr)
	if note != "" {
		warnings = append(warnings, note)
	}
	return srv, warnings, err
}

// namesOf lists what a Sentinel watches, in brackets; empty where it does not say.
func namesOf(ctx context.Context, rdb *redis.Client) string {
	opt := *rdb.Options()
	client := redis.NewSentinelClient(&opt)
	defer func() { _ = client.Close() }()
	if names := watched(ctx, client); len(names) > 0 {
		return " (" + strings.Join(names, ", ") + ")"
	}
	return ""
}

// checkRole refuses a replica: what is written there is refused, or lost.
func checkRole(ctx context.Context, rdb *redis.Client, addr string) error {
	role, primary, err := roleOf(ctx, rdb)
	if err != nil {
		return fmt.Errorf("redis at %s: %w", addr, err)
	}
	if isReplica(role) {
		return fmt.Errorf("%w: %s replicates from %s: connect to that primary", ErrReadOnly, addr, primary)
	}
	return nil
}

func isReplica(role string) bool { return role == "slave" || role == "replica" }

// roleOf asks ROLE, then INFO; both empty if the server hides them.
func roleOf(ctx context.Context, rdb *redis.Client) (role, primary string, err error) {
	reply, err := rdb.Do(ctx, "ROLE").Slice()
	if err != nil {
		if err = unlessHidden(err); err != nil {
			return "", "", err
		}
		fields, err := info(ctx, rdb, "replication")
		return fields["role"], net.JoinHostPort(fields["master_host"], fields["master_port"]), err
	}
	if len(reply) > 0 {
		role = fmt.Sprint(reply[0])
	}
	if len(reply) > 2 {
		primary = net.JoinHostPort(fmt.Sprint(reply[1]), fmt.Sprint(reply[2]))
	}
	return role, primary, nil
}

// checkEviction refuses a server that deletes data when memory runs out: the
// engine's keys are all alive, so it would be jobs that vanish.
func checkEviction(ctx context.Context, rdb *redis.Client, addr string) (warning string, err error) {
	const mend = "redis-cli CONFIG SET maxmemory-policy noeviction"
	policy, limit, err := evictionOf(ctx, rdb)
	switch {
	case err != nil:
		return "", fmt.Errorf("redis at %s: %w", addr, err)
	case policy == "":
		return "the server hides its eviction policy; it must be noeviction, or jobs vanish when memory runs out", nil
	case policy == "noeviction":
		return "", nil
	case limit == "0":
		return fmt.Sprintf("maxmemory-policy is %s: harmless while maxmemory is 0, and jobs will vanish once it is set; mend it with: %s", policy, mend), nil
	}
	return "", fmt.Errorf("%w: maxmemory-policy of %s is %s, so it deletes jobs when memory runs out; mend it with: %s "+
		"(and \"maxmemory-policy noeviction\" in its configuration file)", ErrUnsupported, addr, policy, mend)
}

// warnOfEviction tells of a server that deletes data when memory runs out: live messages are none, streams are.
func warnOfEviction(ctx context.Context, rdb *redis.Client, addr string) (warning string, err error) {
	policy, limit, err := evictionOf(ctx, rdb)
	if err != nil {
		return "", fmt.Errorf("redis at %s: %w", addr, err)
	}
	if policy == "" || policy == "noeviction" || limit == "0" {
		return "", nil
	}
	return fmt.Sprintf("maxmemory-policy of %s is %s: messages of durable topics vanish when memory runs out, live ones are not touched",
		addr, policy), nil
}

// evictionOf returns policy and maxmemory in bytes, empty where hidden.
func evictionOf(ctx context.Context, rdb *redis.Client) (policy, limit string, err error) {
	fields, err := info(ctx, rdb, "memory")
	if err != nil || fields["maxmemory_policy"] != "" {
		return fields["maxmemory_policy"], fields["maxmemory"], err
	}
	config, err := rdb.ConfigGet(ctx, "maxmemory*").Result()
	if err != nil {
		return "", "", unlessHidden(err)
	}
	return config["maxmemory-policy"], config["maxmemory"], nil
}
