package cli

import (
	"net"
	"net/url"
	"strings"
)

// Address is where a Redis URL points, for messages: "host:port" or a socket's path, never the credentials.
func Address(raw string) string {
	u, ok := parse(raw)
	if !ok {
		return "the Redis URL"
	}
	if u.Scheme == "unix" {
		return u.Path
	}
	host, port := u.Hostname(), u.Port()
	if host == "" {
		host = "localhost"
	}
	if port == "" {
		port = "6379"
	}
	return net.JoinHostPort(host, port)
}

// Redact is a Redis URL for people: its password, if any, is replaced. One that cannot be read safely loses everything
// behind its scheme.
func Redact(raw string) string {
	u, ok := parse(raw)
	if !ok {
		scheme, _, found := strings.Cut(raw, "://")
		if !found {
			return "***"
		}
		return scheme + "://***"
	}
	if _, has := u.User.Password(); has {
		u.User = url.UserPassword(u.User.Username(), "***")
	}
	// The stars need no encoding, and encoded they would puzzle people.
	return strings.Replace(u.String(), ":%2A%2A%2A@", ":***@", 1)
}

// parse refuses URLs where an unencoded character may have moved a part of the password out of its place.
func parse(raw string) (*url.URL, bool) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme == "" || strings.Contains(u.Path+u.RawQuery+u.Fragment, "@") {
		return nil, false
	}
	return u, true
}
