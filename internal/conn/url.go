package conn

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// parameters are the query parameters a URL may carry.
var parameters = []string{
	"client_name", "conn_max_idle_time", "conn_max_lifetime", "conn_max_lifetime_jitter", "db", "dial_timeout",
	"idle_timeout", "max_active_conns", "max_concurrent_dials", "max_conn_age", "max_idle_conns", "min_idle_conns",
	"pipeline_pool_size", "pipeline_read_buffer_size", "pipeline_write_buffer_size", "pool_fifo", "pool_size",
	"pool_timeout", "read_timeout", "skip_verify", "write_timeout",
}

// fixed are parameters that go-redis knows and Tidemill decides: the only value
// accepted, and why.
var fixed = map[string][2]string{
	"max_retries":       {"-1", "a command sent twice would run twice"},
	"min_retry_backoff": {"", "retries are off"},
	"max_retry_backoff": {"", "retries are off"},
	"protocol":          {"2", "Tidemill speaks RESP2"},
}

const urlForms = "redis://[user:password@]host[:port][/db], rediss://... for TLS, or unix://[user:password@]/path[?db=n]"

// errUserinfo stands in for every fault that might lie within the password.
var errUserinfo = errors.New(`it cannot be read safely: if the user or the password holds one of @ : / ? # % or a space, ` +
	`percent-encode it (such as %40 for @)`)

// parseURL turns a Redis URL into options. Its errors are ErrConfig, name the
// faulty value, and never hold the user, the password or a part of either.
func parseURL(raw string) (*redis.Options, error) {
	opt, err := readURL(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: Redis URL: %w", ErrConfig, err)
	}
	return opt, nil
}

func readURL(raw string) (*redis.Options, error) {
	u, safe, err := splitURL(raw)
	if err != nil {
		return nil, err
	}
	for _, check := range []func(*url.URL) error{checkAddress, checkQuery} {
		if err := check(u); err != nil {
			if !safe {
				return nil, errUserinfo
			}
			return nil, err
		}
	}
	opt, err := redis.ParseURL(raw)
	if err != nil {
		if !safe {
			return nil, errUserinfo
		}
		return nil, err
	}
	return opt, checkValues(opt)
}

// splitURL parses raw. safe is false where an unencoded character may have
// moved a part of the password out of the userinfo, so that nothing of the URL
// may be shown.
func splitURL(raw string) (u *url.URL, safe bool, err error) {
	scheme, rest, found := strings.Cut(raw, "://")
	if !found {
		return nil, false, fmt.Errorf(`it has no "://"; want %s`, urlForms)
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	authority, tail := rest[:end], rest[end:]
	safe = !strings.Contains(tail, "@")
	u, err = url.Parse(raw)
	if err != nil {
		if !safe {
			return nil, false, errUserinfo
		}
		// Ask again without the userinfo: an error that stays is not about it.
		bare := authority[strings.LastIndex(authority, "@")+1:]
		if strings.HasPrefix(authority, ":") && bare == authority { // redis://:password, the host forgotten
			return nil, false, errUserinfo
		}
		if _, again := url.Parse(scheme + "://" + bare + tail); again != nil {
			return nil, false, fmt.Errorf("%w; want %s", errors.Unwrap(again), urlForms)
		}
		return nil, false, errUserinfo
	}
	if u.Fragment != "" || strings.HasSuffix(raw, "#") {
		return nil, false, errUserinfo
	}
	if !slices.Contains([]string{"redis", "rediss", "unix"}, u.Scheme) {
		return nil, false, fmt.Errorf("scheme %q is not known; allowed: redis, rediss, unix", u.Scheme)
	}
	return u, safe, nil
}

// checkAddress looks at host, port, path and database.
func checkAddress(u *url.URL) error {
	if u.Scheme == "unix" {
		if u.Host != "" || u.Path == "" {
			return fmt.Errorf("a socket wants an absolute path with three slashes: unix:///path/to/redis.sock, not unix://%s%s", u.Host, u.Path)
		}
		return nil
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			if u.Hostname() == "" { // it may be a password, the host forgotten
				return errUserinfo
			}
			return fmt.Errorf("port %q is not valid; want a number from 1 to 65535", port)
		}
	}
	path := strings.Trim(u.Path, "/")
	if path == "" {
		return nil
	}
	if err := checkDB(path); err != nil {
		return err
	}
	if db := u.Query().Get("db"); db != "" && db != path {
		return fmt.Errorf("database is %q in the path and %q in the query; give one", path, db)
	}
	return nil
}

func checkDB(db string) error {
	if n, err := strconv.Atoi(db); err != nil || n < 0 {
		return fmt.Errorf("database %q is not valid; want a number from 0 up", db)
	}
	return nil
}

// checkQuery looks at the names of the parameters and at those values that
// go-redis would take and Tidemill does not.
func checkQuery(u *url.URL) error {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return fmt.Errorf("query: %w", err)
	}
	for name, values := range query {
		if len(values) > 1 {
			return fmt.Errorf("parameter %q is given %d times", name, len(values))
		}
		if rule, found := fixed[name]; found {
			if values[0] != rule[0] && values[0] != "" {
				return fmt.Errorf("parameter %s=%s is not allowed: %s; leave it out", name, values[0], rule[1])
			}
			continue
		}
		if !slices.Contains(parameters, name) {
			return fmt.Errorf("parameter %q is not known; allowed: %s", name, strings.Join(parameters, ", "))
		}
		if name == "skip_verify" && u.Scheme != "rediss" {
			return errors.New("parameter skip_verify is for rediss:// only")
		}
		if name == "db" && values[0] != "" {
			if err := checkDB(values[0]); err != nil {
				return err
			}
		}
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
