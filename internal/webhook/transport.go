package webhook

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"
	"os"
	"time"
)

const (
	dialTimeout  = 10 * time.Second
	idleTimeout  = 90 * time.Second
	pingAfter    = 15 * time.Second
	maxHeaders   = 64 << 10 // of an answer, interim ones included
	caFileAtMost = 16 << 20
)

// newTransport makes a handler's connections. judge says what may not be connected to, nil = everything may; resolver is
// nil but in tests.
func newTransport(c Config, roots *x509.CertPool, judge func(netip.Addr) string, resolver *net.Resolver) *http.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second, Resolver: resolver}
	proxy := http.ProxyFromEnvironment
	if judge != nil {
		dialer.ControlContext, proxy = guard(judge), nil
	}
	return &http.Transport{
		Proxy:               proxy,
		DialContext:         dialer.DialContext,
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: dialTimeout,
		ForceAttemptHTTP2:   true,
		// An HTTP/2 connection that died silently would fail every request that is put on it.
		HTTP2: &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingAfter},
		// places bounds the requests. MaxConnsPerHost is left out: it hangs with HTTP/2 (golang.org/issue/34941).
		MaxIdleConns:           c.MaxPerHost,
		MaxIdleConnsPerHost:    c.MaxPerHost,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeaders,
		// What was not asked for is not unpacked: no small answer becomes a big one.
		DisableCompression: true,
	}
}

// authorities reads the CA file; nil means the system's.
func authorities(path, scheme string, faults *Faults) *x509.CertPool {
	if path == "" {
		return nil
	}
	if scheme == "http" {
		faults.add("ca_file", "is given, and url is http; allowed: with https")
		return nil
	}
	info, err := os.Stat(path)
	if err == nil && info.Size() > caFileAtMost {
		faults.add("ca_file", "%s has %d bytes; allowed: %d", path, info.Size(), caFileAtMost)
		return nil
	}
	var pem []byte
	if err == nil {
		pem, err = os.ReadFile(path)
	}
	if err != nil {
		faults.add("ca_file", "%v", err)
		return nil
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		faults.add("ca_file", "%s holds no PEM certificate", path)
	}
	return roots
}
