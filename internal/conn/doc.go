// Package conn owns the connections of a process to Redis: one budget, one
// shared client for commands and pipelines, and small clients of the same
// options for what must not share a pool: blocking calls, the heartbeat and the
// subscription. It also judges a server before anything is entrusted to it, and
// sorts errors into kinds.
//
// Clients opened here never send a command twice by themselves: a resend after a
// lost reply runs it again. (A ClusterClient follows redirects and may resend
// within its MaxRedirects; go-redis offers no way to have one without the other.)
package conn
