package cli

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"
)

// Address is where a Redis URL points, for messages, never with credentials: "host:port", a socket's path, or the hosts
// of Sentinels or a Cluster with what they are.
func Address(raw string) string {
	u, hosts, ok := parse(raw)
	if !ok {
		return "the Redis URL"
	}
	_, kind, _ := strings.Cut(u.Scheme, "+")
	switch {
	case u.Scheme == "unix":
		return u.Path
	case kind == "sentinel":
		name, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
		return withPorts(hosts, "26379") + " (Sentinel, " + name + ")"
	case kind == "cluster":
		return withPorts(hosts, "6379") + " (Cluster)"
	}
	return withPorts(hosts, "6379")
}

// withPorts adds the port to hosts that have none.
func withPorts(hosts, port string) string {
	var out []string
	for one := range strings.SplitSeq(hosts, ",") {
		u := url.URL{Host: one}
		host, given := u.Hostname(), u.Port()
		if host == "" {
			host = "localhost"
		}
		if given == "" {
			given = port
		}
		out = append(out, net.JoinHostPort(host, given))
	}
	return strings.Join(out, ",")
}

// stars stand for what is not shown. They need no encoding, and encoded they would puzzle people.
const stars = "***"

// Redact is a Redis URL for people: its passwords, if any, are replaced. One that cannot be read safely loses everything
// behind its scheme.
func Redact(raw string) string {
	u, hosts, ok := parse(raw)
	if !ok {
		scheme, _, found := strings.Cut(raw, "://")
		if !found {
			return stars
		}
		return scheme + "://" + stars
	}
	if _, has := u.User.Password(); has {
		u.User = url.UserPassword(u.User.Username(), stars)
	}
	if query := u.Query(); query.Get("sentinel_password") != "" {
		query.Set("sentinel_password", stars)
		u.RawQuery = query.Encode()
	}
	return strings.Replace(unparse(u, hosts), "%2A%2A%2A", stars, 2)
}

// bareAddress is a host, an IPv6 one in brackets, with or without a port and a database. A user or a password has no place
// in it.
var bareAddress = regexp.MustCompile(`^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:/[0-9]*)?$`)

// checkScheme refuses a URL without a scheme, and names the one that was probably meant. from is the flag, the variable or
// the file that said so. A text that is no plain address is not shown: there may be a password in it.
func checkScheme(raw, from string) error {
	meant := ""
	switch {
	case strings.Contains(raw, "://"):
		return nil
	case bareAddress.MatchString(raw):
		meant = "redis://" + raw
	case strings.HasPrefix(raw, "/") && !strings.Contains(raw, "@"):
		meant = "unix://" + raw
	default:
		return fmt.Errorf(`%s: it has no "://"; want redis://[user:password@]host[:port][/db], or another scheme: rediss, unix, redis+sentinel, redis+cluster`, from)
	}
	return fmt.Errorf(`%s %q: it has no "://"; did you mean %s?`, from, raw, meant)
}

// placeholder stands for the hosts of a URL that names several, which package url does not take.
const placeholder = "hosts.invalid"

// parse refuses URLs where an unencoded character may have moved a part of the password out of its place. The hosts are
// answered beside the rest.
func parse(raw string) (u *url.URL, hosts string, ok bool) {
	scheme, rest, found := strings.Cut(raw, "://")
	if !found {
		return nil, "", false
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	at := strings.LastIndex(rest[:end], "@") + 1
	if hosts = rest[at:end]; strings.Contains(hosts, ",") {
		raw = scheme + "://" + rest[:at] + placeholder + rest[end:]
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme == "" || strings.Contains(u.Path+u.RawQuery+u.Fragment, "@") {
		return nil, "", false
	}
	return u, hosts, true
}

// unparse writes the URL that parse has read.
func unparse(u *url.URL, hosts string) string {
	text := u.String()
	if u.Host == placeholder {
		text = strings.Replace(text, placeholder, hosts, 1)
	}
	return text
}
