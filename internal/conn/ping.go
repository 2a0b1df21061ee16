package conn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// firstPing asks whether the server answers. go-redis does not interrupt a read
// when its context is cancelled, but closing the client does.
func firstPing(ctx context.Context, rdb io.Closer, ping func(context.Context) error) error {
	stop := context.AfterFunc(ctx, func() { _ = rdb.Close() })
	err := ping(ctx)
	if stop() {
		return err
	}
	return endOf(ctx)
}

// endOf is the error of a connection that its context did not wait for.
func endOf(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%w: no answer in the time given: %w", ErrUnavailable, context.Cause(ctx))
	}
	return context.Cause(ctx)
}

// explain sorts the error of a first ping and adds what mends it.
func explain(err error, opt *redis.Options) error {
	text := err.Error()
	switch {
	case redis.IsAuthError(err) && opt.Password == "":
		return fmt.Errorf("%w, none were given: %w", ErrAuth, err)
	case strings.Contains(text, "without any password configured"), strings.Contains(text, "invalid password"):
		return fmt.Errorf("%w: %w", ErrAuth, err)
	case strings.Contains(text, "DB index is out of range"):
		return fmt.Errorf("%w: the server has no database %d (its setting `databases`, 16 by default): %w", ErrConfig, opt.DB, err)
	case strings.Contains(text, "SELECT is not allowed in cluster mode"):
		return fmt.Errorf("%w: there is no database %d in a Redis Cluster, which has database 0 only: %w", ErrConfig, opt.DB, err)
	case brokenOff(err) && opt.TLSConfig == nil:
		return fmt.Errorf("%w: the server closed the connection (if it speaks TLS, use rediss://): %w", ErrUnavailable, err)
	case brokenOff(err) && opt.TLSConfig.GetClientCertificate == nil:
		// The alert that says so may be lost behind the reset.
		return fmt.Errorf("%w: the server closed the connection (if it wants a client certificate: client_cert=FILE and "+
			"client_key=FILE in the URL): %w", ErrUnavailable, err)
	}
	if hint := tlsHint(err); hint != "" {
		return fmt.Errorf("%w (%s)", err, hint)
	}
	return Classify(err)
}

// brokenOff tells that the server ended the connection. A dial that failed is none.
func brokenOff(err error) bool {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return false
	}
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// tlsHint says what mends a TLS handshake in which a certificate was refused, by
// either side, or that a plain server answered.
func tlsHint(err error) string {
	var (
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		alert     tls.AlertError
		record    tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &authority):
		return "name the CA that signed the server's certificate with ca_cert=FILE in the URL"
	case errors.As(err, &host):
		return "name one of those with server_name=NAME in the URL"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the server's certificate, or this machine's clock, is out of date"
	case errors.As(err, &record):
		return "it answers, but not with TLS: use redis://"
	case errors.As(err, &alert), strings.Contains(err.Error(), "remote error: tls:"):
		return "the server wants another client certificate: client_cert=FILE and client_key=FILE in the URL"
	}
	return ""
}
