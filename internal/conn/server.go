package conn

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Server says what answers at the other end. Fields are empty or 0 where the
// server hides them.
type Server struct {
	// Kind is "redis", "valkey", "miniredis" (the embedded server) or what the
	// server calls itself, in lower case.
	Kind string
	// Version as the server gives it, such as "7.0.15".
	Version string
	// Major and Minor are the first two numbers of Version.
	Major, Minor int
	// Mode is "standalone", "cluster" or "sentinel".
	Mode string
}

// Embedded reports whether the server is miniredis, which lives in a process
// and lacks what concerns memory and replication.
func (s Server) Embedded() bool { return s.Kind == "miniredis" }

// Known reports whether the server told a version that can be read.
func (s Server) Known() bool { return s.Major > 0 }

// AtLeast reports whether the version is known and not below major.minor.
func (s Server) AtLeast(major, minor int) bool {
	return s.Major > major || s.Major == major && s.Minor >= minor
}

// String returns "redis 7.0.15", or what is known of it.
func (s Server) String() string {
	kind, version := firstOf(s.Kind, "redis"), firstOf(s.Version, "(version hidden)")
	return kind + " " + version
}

// identify asks HELLO, which the embedded server answers too, then INFO, which
// servers before 6.0 have.
func identify(ctx context.Context, rdb *redis.Client) (Server, error) {
	fields, err := hello(ctx, rdb)
	if err != nil {
		return Server{}, err
	}
	srv := Server{Kind: strings.ToLower(fields["server"]), Version: fields["version"], Mode: fields["mode"]}
	if srv.Version == "" {
		fields, err := info(ctx, rdb, "server")
		if err != nil {
			return Server{}, err
		}
		srv.Kind = strings.ToLower(fields["server_name"]) // Valkey's own field
		if srv.Kind == "" && fields["redis_version"] != "" {
			srv.Kind = "redis"
		}
		srv.Version = firstOf(fields[srv.Kind+"_version"], fields["redis_version"])
		srv.Mode = firstOf(fields["redis_mode"], fields["server_mode"])
	}
	srv.Major, srv.Minor = parseVersion(srv.Version)
	return srv, nil
}

func parseVersion(version string) (major, minor int) {
	first, rest, _ := strings.Cut(version, ".")
	second, _, _ := strings.Cut(rest, ".")
	major, err := strconv.Atoi(first)
	if err != nil || major < 0 {
		return 0, 0
	}
	minor, err = strconv.Atoi(second)
	if err != nil || minor < 0 {
		minor = 0
	}
	return major, minor
}

// hello returns the answer to HELLO as text fields; none if the server hides
// it. It names the protocol that the connection speaks already, since another
// would change it under go-redis.
func hello(ctx context.Context, rdb *redis.Client) (map[string]string, error) {
	reply, err := rdb.Do(ctx, "HELLO", rdb.Options().Protocol).Result()
	if err != nil {
		return nil, unlessHidden(err)
	}
	fields := map[string]string{}
	switch reply := reply.(type) {
	case []any: // RESP2
		for i := 0; i+1 < len(reply); i += 2 {
			fields[fmt.Sprint(reply[i])] = fmt.Sprint(reply[i+1])
		}
	case map[any]any: // RESP3
		for k, v := range reply {
			fields[fmt.Sprint(k)] = fmt.Sprint(v)
		}
	}
	return fields, nil
}

// info returns the fields of a section of INFO; none if the server hides it.
func info(ctx context.Context, rdb *redis.Client, section string) (map[string]string, error) {
	text, err := rdb.Info(ctx, section).Result()
	if err != nil {
		return nil, unlessHidden(err)
	}
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		if k, v, found := strings.Cut(strings.TrimSpace(line), ":"); found && !strings.HasPrefix(k, "#") {
			fields[k] = strings.TrimSpace(v)
		}
	}
	return fields, nil
}

// unlessHidden turns a server's "unknown command", "not supported" or "no
// permission" into nil: it hides the answer, which is no fault. Everything else
// comes back classified.
func unlessHidden(err error) error {
	var reply redis.Error
	if err = Classify(err); errors.As(err, &reply) && !errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrAuth) {
		return nil
	}
	return err
}
