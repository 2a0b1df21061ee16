// Package supervise runs commands so that nothing of them is left behind.
//
// On Linux a worker has one supervisor: the same binary started once more, as a process of its own that holds one end of a
// socket. It forks the commands at the worker's word, and when a command's first process has ended, it kills whatever that
// one left: its session and group by number, and what escaped those (setsid, nohup, a double fork) because orphans become
// children of the supervisor, which is a child subreaper. When the socket closes, also because the worker was killed with
// -9, it kills every descendant and ends once there is none.
//
//	worker                                     supervisor                             commands
//	Start ── start: argv, env, dir, 3 fds ──>  fork threads (server) ── setsid ──>    leader ── its children
//	Process.Terminate, Kill ── signal ──────>     kill(-group)                           │ orphans are reparented
//	Process.Done <── exited: status ────────   reaper (reaper, tree) <───────────────────┘
//
// Elsewhere there are process groups only (unix), or not even those (Windows): see Supervisor.Limits.
package supervise
