package conn

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// libraryParameters are the query parameters that go-redis reads by itself.
var libraryParameters = []string{
	"client_name", "conn_max_idle_time", "conn_max_lifetime", "conn_max_lifetime_jitter", "db", "dial_timeout",
	"idle_timeout", "max_active_conns", "max_concurrent_dials", "max_conn_age", "max_idle_conns", "min_idle_conns",
	"pipeline_pool_size", "pipeline_read_buffer_size", "pipeline_write_buffer_size", "pool_fifo", "pool_size",
	"pool_timeout", "read_timeout", "skip_verify", "write_timeout",
}

// ownParameters are those that this package reads.
var ownParameters = []string{
	"ca_cert", "client_cert", "client_key", "read_from", "replica", "sentinel_password", "sentinel_username", "server_name",
}

// limits say which parameters go with what only.
var limits = []struct {
	name  string
	goes  func(t *target, u *url.URL) bool
	where string
}{
	{"skip_verify", overTLS, "rediss:// only"}, {"ca_cert", overTLS, "rediss:// only"}, {"client_cert", overTLS, "rediss:// only"},
	{"client_key", overTLS, "rediss:// only"}, {"server_name", overTLS, "rediss:// only"},
	{"sentinel_username", withSentinel, "redis+sentinel:// only"}, {"sentinel_password", withSentinel, "redis+sentinel:// only"},
	{"replica", alone, "redis:// and rediss:// only, with read_from=replica: Sentinels and a Cluster know their replicas"},
}

func overTLS(_ *target, u *url.URL) bool      { return u.Scheme == "rediss" }
func withSentinel(t *target, _ *url.URL) bool { return t.kind == bySentinel }
func alone(t *target, u *url.URL) bool        { return t.kind == single && u.Scheme != "unix" }

// fixed are parameters that go-redis knows and Tidemill decides: the only value
// accepted, and why.
var fixed = map[string][2]string{
	"max_retries":       {"-1", "a command sent twice would run twice"},
	"min_retry_backoff": {"", "retries are off"},
	"max_retry_backoff": {"", "retries are off"},
	"protocol":          {"2", "Tidemill speaks RESP2"},
}

// checkQuery looks at the names of the parameters and at those values that
// go-redis would take and Tidemill does not. It takes its own ones out of u.
func (t *target) checkQuery(u *url.URL) (own url.Values, err error) {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		if strings.Contains(u.RawQuery, "password") { // the error shows what it stumbled over
			return nil, errUserinfo
		}
		return nil, fmt.Errorf("query: %w", err)
	}
	own = url.Values{}
	for name, values := range query {
		if len(values) > 1 {
			return nil, fmt.Errorf("parameter %q is given %d times", name, len(values))
		}
		if rule, found := fixed[name]; found {
			if values[0] != rule[0] && values[0] != "" {
				return nil, fmt.Errorf("parameter %s=%s is not allowed: %s; leave it out", name, values[0], rule[1])
			}
			continue
		}
		mine := slices.Contains(ownParameters, name)
		if !mine && !slices.Contains(libraryParameters, name) {
			all := append(slices.Clone(libraryParameters), ownParameters...)
			slices.Sort(all)
			return nil, fmt.Errorf("parameter %q is not known; allowed: %s", name, strings.Join(all, ", "))
		}
		for _, limit := range limits {
			if limit.name == name && !limit.goes(t, u) {
				return nil, fmt.Errorf("parameter %s is for %s", name, limit.where)
			}
		}
		if name == "db" && values[0] != "" {
			if err := checkDB(values[0]); err != nil {
				return nil, err
			}
		}
		if mine {
			own[name] = values
			query.Del(name)
		}
	}
	u.RawQuery = query.Encode()
	return own, nil
}

// apply reads the package's own parameters.
func (t *target) apply(own url.Values) error {
	t.user, t.password = own.Get("sentinel_username"), own.Get("sentinel_password")
	if t.user != "" && t.password == "" {
		return errors.New("parameter sentinel_username wants sentinel_password beside it")
	}
	if t.opt.TLSConfig != nil {
		t.serverName = own.Get("server_name")
		if t.kind != single || t.serverName != "" { // else go-redis has put the host there
			t.opt.TLSConfig.ServerName = t.serverName
		}
		if err := readTLS(t.opt.TLSConfig, own); err != nil {
			return err
		}
	}
	return t.readFrom(own.Get("read_from"), own.Get("replica"))
}

// readFrom reads where inspection reads go.
func (t *target) readFrom(from, replica string) error {
	switch from {
	case "", "primary":
		if replica != "" {
			return errors.New("parameter replica wants read_from=replica beside it")
		}
		return nil
	case "replica":
	default:
		return fmt.Errorf("parameter read_from=%s is not valid; allowed: primary, replica", from)
	}
	t.replicas = true
	if t.kind != single {
		return nil
	}
	if replica == "" {
		return errors.New("parameter read_from=replica: there is no replica to find behind one server; name it with " +
			"replica=host:port, or use redis+sentinel:// or redis+cluster://")
	}
	if host, port, err := net.SplitHostPort(replica); err != nil || host == "" || port == "" {
		return fmt.Errorf("parameter replica=%s is not valid; want host:port", replica)
	}
	t.replica = replica
	return nil
}

// readTLS reads the files that a TLS connection needs.
func readTLS(config *tls.Config, own url.Values) error {
	if path := own.Get("ca_cert"); path != "" {
		pem, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("parameter ca_cert: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("parameter ca_cert: %s holds no certificate in PEM form", path)
		}
	}
	cert, key := own.Get("client_cert"), own.Get("client_key")
	if cert == "" && key == "" {
		return nil
	}
	if cert == "" || key == "" {
		return errors.New("parameters client_cert and client_key go together; one of them is missing")
	}
	first, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("parameters client_cert=%s and client_key=%s: %w", cert, key, err)
	}
	// Certificates are short-lived where something renews their files: the files count at each connection.
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if fresh, err := tls.LoadX509KeyPair(cert, key); err == nil {
			return &fresh, nil
		}
		return &first, nil
	}
	return nil
}

// checkValues refuses numbers that would disable what the engine relies on.
func checkValues(opt *redis.Options) error {
	var faults []error
	for name, v := range map[string]int64{
		"dial_timeout": int64(opt.DialTimeout), "read_timeout": int64(opt.ReadTimeout),
		"write_timeout": int64(opt.WriteTimeout), "pool_timeout": int64(opt.PoolTimeout),
	} {
		if v < 0 {
			faults = append(faults, fmt.Errorf("parameter %s must be above 0: a call without a limit never notices a dead server", name))
		}
	}
	for name, v := range map[string]int{
		"pool_size": opt.PoolSize, "min_idle_conns": opt.MinIdleConns, "max_idle_conns": opt.MaxIdleConns,
		"max_active_conns": opt.MaxActiveConns, "max_concurrent_dials": opt.MaxConcurrentDials,
		"pipeline_read_buffer_size": opt.PipelineReadBufferSize, "pipeline_write_buffer_size": opt.PipelineWriteBufferSize,
	} {
		if v < 0 {
			faults = append(faults, fmt.Errorf("parameter %s=%d must not be negative", name, v))
		}
	}
	return errors.Join(faults...)
}
