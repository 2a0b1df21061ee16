//go:build !linux

package conn

import "syscall"

// setUserTimeout does nothing: only Linux has TCP_USER_TIMEOUT. Keepalive and
// read timeouts remain.
func setUserTimeout(_, _ string, _ syscall.RawConn) error { return nil }
