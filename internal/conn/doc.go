// Package conn owns the connections of a process to Redis: one budget, one
// shared client for commands and pipelines, small clients of the same options for
// what must not share a pool (blocking calls, the heartbeat), and raw connections
// for subscriptions. Sets around one client share the budget. It reads the URL of each topology (one server, Sentinel,
// Cluster), follows the primary after a failover, judges a server before
// anything is entrusted to it, and sorts errors into kinds.
//
// Clients opened here never send a command twice by themselves: a resend after a
// lost reply runs it again. (A ClusterClient follows redirects and may resend
// within its MaxRedirects; go-redis offers no way to have one without the other.)
package conn
