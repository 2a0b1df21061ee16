// Package chaos proves that nothing acknowledged is lost: producer and worker processes run against a real server while
// a plan of faults kills, stops and restarts them, their connections and the server. It is imported by tests only.
//
// The plan follows from a seed: which fault, when, upon whom, for how long. Replies are lost at random besides. Every
// process writes what it does into a ledger of its own, one write(2) a line and before the next step, so that a kill -9
// leaves whatever was done: a producer before and after each enqueue, a worker at the start of each attempt and, with
// the claim token, its effect before the handler returns. When the faults are over the queues drain to quiet, and a
// judge holds ledgers and Redis against each other.
//
// # What is proved
//
// For each job whose enqueue was acknowledged: it ran to success, or it is in a state that an operator can see, or an
// operator has cancelled or deleted it. Having run is not enough: a job that failed, and was to be tried again, must
// not be gone. A job whose enqueue failed (not "outcome unknown") never runs, and none is created twice.
//
// Effects are fenced as Job.Token is meant to be used: a store outside keeps, of each job, the effect of the highest
// token and refuses lower ones (Store). Exactly one effect of each job that succeeded stands in the end, and it is that
// of the claim whose acknowledgement Redis took:
//
//   - No claim has a number that another has, and none starts twice.
//   - Of jobs that keep their result Redis holds the token of the claim that it took as the success; it is the token of
//     the effect that stands. After an acknowledgement, therefore, nothing ran again.
//   - Of the others Redis keeps nothing, but it counts: as many acknowledgements were taken as jobs succeeded. One taken
//     twice, or for a job that is elsewhere still, breaks the sum, as does one that was lost.
//   - The counters of the queues add up: enqueued is succeeded, cancelled, expired, deleted and what is there.
//
// Redis itself, read key by key and not through the product's own verbs, holds no job in two places and none in no
// place. At the end nothing is left but a handful of keys.
//
// Repeats are counted. A job starts again without having failed or put itself off only where the process, or the
// connection, that had it before was hurt for long enough: killed; stopped, cut off, or by its own account left without
// a processor, for half a session TTL; or terminated and cut off in its drain. A lost reply, a SCRIPT FLUSH, or a
// restart of a server with appendfsync always explains nothing: the product promises to take them without a repeat. A
// failover does, for what was acknowledged to a worker is not confirmed by a replica.
//
// # What is not
//
// A store that does not fence sees each repeat. In a failover only what Enqueue confirmed by a replica is held to be
// acknowledged, and the judge does not hold winners' tokens against the ledgers.
package chaos
