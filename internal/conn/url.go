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

// topology is how the servers behind a URL stand to each other.
type topology int

const (
	single topology = iota
	bySentinel
	inCluster
)

// schemes are the URL schemes, each with what it stands for.
var schemes = []struct {
	name  string
	plain string // what go-redis calls it
	kind  topology
}{
	{"redis", "redis", single}, {"rediss", "rediss", single}, {"unix", "unix", single},
	{"redis+sentinel", "redis", bySentinel}, {"rediss+sentinel", "rediss", bySentinel},
	{"redis+cluster", "redis", inCluster}, {"rediss+cluster", "rediss", inCluster},
}

// Default ports.
const (
	redisPort    = "6379"
	sentinelPort = "26379"
)

const urlForms = "redis://[user:password@]host[:port][/db], rediss://... for TLS, unix://[user:password@]/path[?db=n], " +
	"redis+sentinel://[user:password@]host[:port],.../name[/db] or redis+cluster://[user:password@]host[:port],... (rediss+... for TLS)"

// errUserinfo stands in for every fault that might lie within the password.
var errUserinfo = errors.New(`it cannot be read safely: if the user or the password holds one of @ : / ? # % or a space, ` +
	`percent-encode it (such as %40 for @)`)

// target is what a URL says.
type target struct {
	kind       topology
	opt        *redis.Options // of the data nodes; Addr counts only where there is one server
	hosts      []string       // Sentinels, or nodes of a Cluster
	name       string         // of the primary, as Sentinels know it
	user       string         // for Sentinels
	password   string
	serverName string // whose certificate every server shows; empty = of its own address
	replicas   bool   // inspection reads go to replicas
	replica    string // the one to read from, where nobody can be asked for it
}

// parseURL turns a Redis URL into a target. Its errors are ErrConfig, name the
// faulty value, and never hold the user, a password or a part of either.
func parseURL(raw string) (*target, error) {
	t, err := readURL(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: Redis URL: %w", ErrConfig, err)
	}
	return t, nil
}

func readURL(raw string) (*target, error) {
	t := &target{}
	plain, err := t.unfold(raw)
	if err != nil {
		return nil, err
	}
	u, safe, err := splitURL(plain)
	if err != nil {
		return nil, err
	}
	if err := t.read(u); err != nil {
		if !safe {
			return nil, errUserinfo
		}
		return nil, err
	}
	return t, checkValues(t.opt)
}

// read fills the target in from a URL of one host.
func (t *target) read(u *url.URL) error {
	if err := checkAddress(u); err != nil {
		return err
	}
	own, err := t.checkQuery(u)
	if err != nil {
		return err
	}
	if t.opt, err = redis.ParseURL(u.String()); err != nil {
		return err
	}
	if t.kind == inCluster && t.opt.DB != 0 {
		return fmt.Errorf("database %d is not valid: a Cluster has database 0 only", t.opt.DB)
	}
	return t.apply(own)
}

// unfold takes what go-redis does not know out of the address: the second part
// of the scheme, the hosts behind the first, and the name of the primary.
func (t *target) unfold(raw string) (plain string, err error) {
	scheme, rest, _ := strings.Cut(raw, "://")
	for _, s := range schemes {
		if s.name != scheme || s.kind == single {
			continue
		}
		t.kind = s.kind
		authority, tail := splitAuthority(rest)
		path, _, _ := strings.Cut(tail, "?")
		if strings.Contains(path, "@") || strings.Contains(tail, "@") && !strings.Contains(authority, "@") {
			return "", errUserinfo // a / or ? in the password, most likely
		}
		at := strings.LastIndex(authority, "@") + 1
		if t.hosts, err = hostList(authority[at:], t.kind); err != nil {
			return "", err
		}
		if t.kind == bySentinel {
			if tail, err = t.takeName(tail); err != nil {
				return "", err
			}
		}
		return s.plain + "://" + authority[:at] + t.hosts[0] + tail, nil
	}
	return raw, nil
}

// splitAuthority cuts what is behind the scheme where user and hosts end.
func splitAuthority(rest string) (authority, tail string) {
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	return rest[:end], rest[end:]
}

// hostList reads the hosts of a URL that names several, with ports.
func hostList(text string, kind topology) ([]string, error) {
	port, what := redisPort, "a node of the Cluster"
	if kind == bySentinel {
		port, what = sentinelPort, "a Sentinel"
	}
	var hosts []string
	for one := range strings.SplitSeq(text, ",") {
		host, given := splitHostPort(one)
		if host == "" {
			if given != "" { // it may be a password, the host forgotten
				return nil, errUserinfo
			}
			return nil, fmt.Errorf("the address of %s is empty; want host[:port],host[:port] and so on", what)
		}
		if given == "" && !strings.HasSuffix(one, ":") {
			given = port
		}
		if n, err := strconv.Atoi(given); err != nil || n < 1 || n > 65535 {
			return nil, fmt.Errorf("the port of %s at %q is not valid; want a number from 1 to 65535", what, host)
		}
		if strings.ContainsAny(host, " \t\"<>^`{|}\\%") || strings.Contains(host, ":") && !strings.HasPrefix(one, "[") {
			return nil, fmt.Errorf("%q is not the address of %s; want host[:port],host[:port] and so on", host, what)
		}
		address := joinHostPort(host, given)
		if slices.Contains(hosts, address) {
			return nil, fmt.Errorf("%s is named twice: %s", what, address)
		}
		hosts = append(hosts, address)
	}
	return hosts, nil
}

// splitHostPort cuts an address, which may lack a port, or be an IPv6 one in
// brackets.
func splitHostPort(address string) (host, port string) {
	if rest, ok := strings.CutPrefix(address, "["); ok {
		if host, port, ok := strings.Cut(rest, "]"); ok {
			return host, strings.TrimPrefix(port, ":")
		}
	}
	at := strings.LastIndex(address, ":")
	if at < 0 {
		return address, ""
	}
	return address[:at], address[at+1:]
}

func joinHostPort(host, port string) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + port
}

// takeName takes the name of the primary out of the path.
func (t *target) takeName(tail string) (rest string, err error) {
	end := strings.IndexAny(tail, "?#")
	if end < 0 {
		end = len(tail)
	}
	name, db, found := strings.Cut(strings.TrimPrefix(tail[:end], "/"), "/")
	if t.name, err = url.PathUnescape(name); err != nil {
		return "", fmt.Errorf("the name of the primary %q is not valid: %w", name, err)
	}
	if t.name == "" {
		return "", errors.New("the name of the primary is missing, by which the Sentinels know it; want " +
			"redis+sentinel://host[:port],host[:port]/name[/db]")
	}
	if found {
		db = "/" + db
	}
	return db + tail[end:], nil
}

// splitURL parses a URL of one host. safe is false where an unencoded character
// may have moved a part of the password out of the userinfo, so that nothing of
// the URL may be shown.
func splitURL(raw string) (u *url.URL, safe bool, err error) {
	scheme, rest, found := strings.Cut(raw, "://")
	if !found {
		return nil, false, fmt.Errorf(`it has no "://"; want %s`, urlForms)
	}
	authority, tail := splitAuthority(rest)
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
		var names []string
		for _, s := range schemes {
			names = append(names, s.name)
		}
		return nil, false, fmt.Errorf("scheme %q is not known; allowed: %s", u.Scheme, strings.Join(names, ", "))
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
