// Package redistest gives tests a Redis to work against, and the means to hurt
// it. It is imported by tests only.
//
//   - Server and Client: a real server on a free port, gone with the test.
//   - NewSecure, NewSentinel and NewCluster: a server that wants TLS and an ACL
//     user, a primary with replicas and Sentinels, a Cluster. EachTopology runs a
//     test on each.
//   - NewBubble and Embedded: miniredis without a socket, for use inside
//     testing/synctest bubbles, where hours pass in milliseconds.
//   - NewProxy: a TCP proxy before a real server.
//   - ChildMain and StartChild: processes of the test binary, to be killed and stopped.
//   - NewMonitor: the commands that clients sent to a real server.
//   - WaitFor: the one way to wait for a condition.
//
// A Bubble and a Proxy pass every connection through the same relay, which knows
// enough of the protocol to tell which reply answers which command. It can
// execute a command and lose its reply, hold a reply, or hold a request and
// deliver it after newer ones; cut connections, silence them or let them crawl.
// CLIENT REPLY and replication streams are the two things it does not understand.
//
// Server's Freeze and Thaw (SIGSTOP, SIGCONT), Kill and Restart hurt a server,
// SetMaxMemory and FillMemory leave it no room. FreezeProcess stops a worker.
//
// Nothing here ever skips a test: without a server, Server fails with the line
// that installs one.
package redistest
