package redistest

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/internal/redisserver"
)

// Permissions are what a Tidemill process needs of an ACL user, for the
// namespace tm. docs/topologies.md shows the same line.
const Permissions = "resetkeys ~tm:* resetchannels &tm:* -@all +@read +@write +@pubsub +@connection +@transaction " +
	"-@dangerous +eval +evalsha +time +info +role +cluster|slots +cluster|myid"

// Secure is a server that speaks TLS and wants a client certificate, with the
// user app (password "p@ss/w"), who may do what Permissions say. The server's
// own port speaks no TLS and lets the default user do all, for the test.
type Secure struct {
	*redisserver.Server
	Certs *Certs
}

// NewSecure starts one.
func NewSecure(t testing.TB, opts ...Option) *Secure {
	t.Helper()
	s := &Secure{Certs: NewCerts(t)}
	opts = append([]Option{WithTLS(s.Certs), WithConfig("user app on >p@ss/w " + Permissions)}, opts...)
	for try := 1; ; try++ {
		srv, err := launch(t, options(t, opts))
		if err == nil {
			s.Server = srv
			return s
		}
		if try == 5 { // another process was quicker to take the port
			t.Fatalf("redistest: %v", err)
		}
	}
}

// WithTLS serves TLS beside the server's own port, on a free one, and wants a
// client certificate there. A Cluster or Sentinel uses it among its own.
func WithTLS(c *Certs) Option {
	return func(o *redisserver.Options) {
		port, err := redisserver.FreePort()
		if err != nil {
			port = 1 // which nobody may take: the start fails and says so
		}
		o.Extra = append(o.Extra, fmt.Sprintf("tls-port %d", port), "tls-cert-file "+c.Server, "tls-key-file "+c.ServerKey,
			"tls-ca-cert-file "+c.CA, "tls-auth-clients yes", "tls-replication yes")
	}
}

// TLSPort is the port on which a server serves TLS.
func TLSPort(t testing.TB, srv *redisserver.Server) string {
	t.Helper()
	port, err := Client(t, srv).ConfigGet(context.Background(), "tls-port").Result()
	if err != nil {
		t.Fatalf("redistest: %v", err)
	}
	return port["tls-port"]
}

// TLSAddr is "127.0.0.1:port" of the port that speaks TLS.
func (s *Secure) TLSAddr(t testing.TB) string { return "127.0.0.1:" + TLSPort(t, s.Server) }

// URL is the rediss:// URL of user app, with the files it takes.
func (s *Secure) URL(t testing.TB) string {
	return "rediss://app:p%40ss%2Fw@" + s.TLSAddr(t) + "/0?" + s.Certs.Query()
}

// Query is what a client adds to its URL.
func (c *Certs) Query() string {
	return url.Values{"ca_cert": {c.CA}, "client_cert": {c.Client}, "client_key": {c.ClientKey}}.Encode()
}

// Sentinel starts a Sentinel that watches the server over TLS, and serves TLS
// itself. It answers its URL.
func (s *Secure) Sentinel(t testing.TB) string {
	t.Helper()
	o := options(t, []Option{WithTLS(s.Certs)})
	o.Sentinel = true
	port, _, _ := strings.Cut(strings.TrimPrefix(o.Extra[0], "tls-port "), " ")
	o.Extra = append(o.Extra, fmt.Sprintf("sentinel monitor %s 127.0.0.1 %s 1", PrimaryName, TLSPort(t, s.Server)))
	srv, err := launch(t, o)
	if err != nil {
		t.Fatalf("redistest: %v", err)
	}
	rdb := Client(t, srv)
	WaitFor(t, settleWithin, func() bool {
		return strings.Contains(rdb.Info(context.Background(), "sentinel").Val(), "status=ok")
	}, "the Sentinel to see the server")
	return "rediss+sentinel://app:p%40ss%2Fw@127.0.0.1:" + port + "/" + PrimaryName + "?" + s.Certs.Query()
}
