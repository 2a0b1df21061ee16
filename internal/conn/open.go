package conn

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Open connects to what url names and pings it once: one server (redis://,
// rediss:// with TLS, unix://), the primary that Sentinels watch
// (redis+sentinel://host,host/name) or a Cluster (redis+cluster://host,host).
// A plain URL of a node that has only a part of a Cluster's slots opens the
// whole Cluster. Parameters of the URL set timeouts (2 s to dial, 5 s to read
// and write otherwise), pool sizes within the budget, TLS, and where inspection
// reads go; one that is unknown, or would undo a rule of the package, is an
// error.
//
// Errors are ErrConfig, ErrUnavailable, ErrAuth, ErrPermission or the server's
// own. None of them holds a password. The caller closes the Set.
func Open(ctx context.Context, url string, cfg Config) (*Set, error) {
	limit, err := cfg.check()
	if err != nil {
		return nil, err
	}
	t, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	if t.opt.ClientName == "" {
		t.opt.ClientName = cfg.ClientName
	} else if err := checkName("client_name", t.opt.ClientName); err != nil {
		return nil, err
	}
	quietLibrary(cfg.Logger)
	open := openSingle
	switch t.kind {
	case bySentinel:
		open = openSentinel
	case inCluster:
		open = openCluster
	}
	s, err := open(ctx, t, limit)
	if err != nil {
		return nil, err
	}
	s.log = cfg.Logger
	s.common.enrol(s)
	return s, nil
}

func openSingle(ctx context.Context, t *target, limit int) (*Set, error) {
	whole := *t // as it was, should it turn out to be a Cluster
	opt := *t.opt
	readers, part, err := t.sizePools(&opt, limit)
	if err != nil {
		return nil, err
	}
	ours(&opt, opt.PoolSize)
	quiet := newSilence()
	opt.Dialer = unbroken(quiet.watch(newDialer(&opt)), opt.MinIdleConns)
	s := &Set{owned: true, addr: opt.Addr, single: &opt, common: newCommon(limit, part), silence: quiet}
	rdb, err := s.connect(ctx, &opt)
	if err != nil {
		return nil, err
	}
	if opt.DB == 0 && opt.Network == "tcp" && isPartOfCluster(ctx, rdb) {
		_ = rdb.Close()
		whole.kind, whole.hosts = inCluster, []string{opt.Addr}
		return openCluster(ctx, &whole, limit)
	}
	s.shared = rdb
	if t.replicas {
		at := *small(&opt, readers, nameFor(s.name, "reader"))
		at.Addr = t.replica
		s.reader = redis.NewClient(&at)
	}
	return s, nil
}

func openSentinel(ctx context.Context, t *target, limit int) (*Set, error) {
	opt := *t.opt
	readers, part, err := t.sizePools(&opt, limit)
	if err != nil {
		return nil, err
	}
	ours(&opt, opt.PoolSize)
	opt.Network, opt.Addr = "tcp", t.name // the dialer knows the address
	dial := newDialer(&opt)
	t.opt = &opt
	watch := newSentinel(t, dial)
	quiet := newSilence()
	opt.Dialer = unbroken(quiet.watch(watch.dialPrimary), opt.MinIdleConns)
	s := &Set{owned: true, addr: fmt.Sprintf("primary %q by Sentinel %s", t.name, strings.Join(t.hosts, ",")),
		single: &opt, common: newCommon(limit, part), silence: quiet, bySentinel: true}
	if _, err := watch.find(ctx); err != nil {
		return nil, explainSentinel(ctx, err, &opt)
	}
	rdb, err := s.connect(ctx, &opt)
	if err != nil {
		return nil, err
	}
	s.shared = rdb
	if t.replicas {
		at := *small(&opt, readers, nameFor(s.name, "reader"))
		at.Dialer = watch.dialReplica
		s.reader = redis.NewClient(&at)
	}
	life, end := context.WithCancel(context.Background())
	done := make(chan struct{})
	s.stop = func() { end(); <-done }
	go func() {
		defer close(done)
		watch.listen(life)
	}()
	return s, nil
}

// explainSentinel sorts the error of a first question to the Sentinels.
func explainSentinel(ctx context.Context, err error, opt *redis.Options) error {
	if ctx.Err() != nil {
		return endOf(ctx)
	}
	var unknown *unknownName
	text := err.Error()
	switch {
	case errors.As(err, &unknown), strings.Contains(text, "unknown command"):
		if unknown == nil {
			err = fmt.Errorf("%w (a data server is reached by redis://, Sentinels listen on port %s)", err, sentinelPort)
		}
		return fmt.Errorf("%w: Redis URL: %w", ErrConfig, err)
	case redis.IsAuthError(err) && strings.Contains(text, "Sentinel at"):
		return fmt.Errorf("redis: %w (the Sentinels' own password is sentinel_password in the URL): %w", ErrAuth, err)
	}
	return fmt.Errorf("redis: no Sentinel names a primary: %w", explain(err, opt))
}

// connect opens the shared client of a plain or Sentinel Set and pings. A user
// who may not set a connection's name goes without.
func (s *Set) connect(ctx context.Context, opt *redis.Options) (*redis.Client, error) {
	rdb := redis.NewClient(opt)
	err := firstPing(ctx, rdb, func(ctx context.Context) error { return rdb.Ping(ctx).Err() })
	if err != nil && opt.ClientName != "" && isPermission(err) && strings.Contains(err.Error(), "setname") {
		_ = rdb.Close()
		opt.ClientName = ""
		return s.connect(ctx, opt)
	}
	if err != nil {
		_ = rdb.Close()
		return nil, fmt.Errorf("redis at %s: %w", s.addr, explain(err, opt))
	}
	s.name = opt.ClientName
	return rdb, nil
}

func openCluster(ctx context.Context, t *target, limit int) (*Set, error) {
	base := *t.opt
	readers, part, err := t.sizePools(&base, limit)
	if err != nil {
		return nil, err
	}
	ours(&base, base.PoolSize)
	if base.TLSConfig != nil { // of a plain URL it holds the name of one node; each is held against its own address
		base.TLSConfig = base.TLSConfig.Clone()
		base.TLSConfig.ServerName = t.serverName
	}
	opt, quiet := clusterOptions(&base, t.hosts), newSilence()
	opt.Dialer = unbroken(quiet.watch(opt.Dialer), opt.MinIdleConns)
	s := &Set{owned: true, addr: "cluster " + strings.Join(t.hosts, ","), common: newCommon(limit, part), silence: quiet}
	rdb := newCluster(opt)
	err = firstPing(ctx, rdb, func(ctx context.Context) error { return rdb.Ping(ctx).Err() })
	if err != nil && opt.ClientName != "" && isPermission(err) && strings.Contains(err.Error(), "setname") {
		_ = rdb.Close()
		t.opt.ClientName = ""
		return openCluster(ctx, t, limit)
	}
	if err != nil {
		_ = rdb.Close()
		return nil, fmt.Errorf("redis at %s: %w", s.addr, explainCluster(err, &base))
	}
	s.shared, s.cluster, s.name = rdb, rdb.Options(), opt.ClientName
	if t.replicas {
		at := smallCluster(rdb.Options(), readers, nameFor(s.name, "reader"))
		at.ReadOnly, at.DisableRoutingPolicies = true, false
		s.reader = newCluster(at)
	}
	return s, nil
}

// explainCluster sorts the error of a first ping to a Cluster.
func explainCluster(err error, opt *redis.Options) error {
	text := err.Error()
	switch {
	case strings.Contains(text, "cluster support disabled"):
		return fmt.Errorf("%w: no node of a Cluster answers there; use redis:// for a single server: %w", ErrConfig, err)
	case strings.Contains(text, "cluster has no nodes"):
		return fmt.Errorf("%w: no slot of the Cluster is served: %w", ErrUnavailable, err)
	}
	return explain(err, opt)
}

// clusterOptions makes those of a Cluster client from what a URL said.
func clusterOptions(o *redis.Options, hosts []string) *redis.ClusterOptions {
	opt := &redis.ClusterOptions{
		Addrs: hosts, ClientName: o.ClientName, Username: o.Username, Password: o.Password, TLSConfig: o.TLSConfig,
		Protocol: o.Protocol, DialTimeout: o.DialTimeout, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout,
		PoolFIFO: o.PoolFIFO, PoolSize: o.PoolSize, PoolTimeout: o.PoolTimeout, MinIdleConns: o.MinIdleConns,
		MaxIdleConns: o.MaxIdleConns, MaxActiveConns: o.MaxActiveConns, MaxConcurrentDials: o.MaxConcurrentDials,
		ConnMaxIdleTime: o.ConnMaxIdleTime, ConnMaxLifetime: o.ConnMaxLifetime, ConnMaxLifetimeJitter: o.ConnMaxLifetimeJitter,
		PipelinePoolSize: o.PipelinePoolSize, PipelineReadBufferSize: o.PipelineReadBufferSize,
		PipelineWriteBufferSize: o.PipelineWriteBufferSize,
		MaxRetries:              -1, DisableIdentity: true, ContextTimeoutEnabled: true, DialerRetries: 1,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	opt.Dialer = newDialer(o)
	return opt
}

func nameFor(name, purpose string) string {
	if name == "" {
		return ""
	}
	return name + ":" + purpose
}
