// Package broker is the only code of the job queue that issues Redis commands: one method, one Lua script, one atomic
// transition. Batches of new jobs are the exception: commands of Redis' own store them, in a transaction (direct.go).
//
// Keys. "tm" stands for the namespace; the keys of one queue share the hash tag {queue}, so that a script touches one
// Cluster slot. TestKeySchema holds this table against what the transitions write.
//
//	tm:{q}:jobs               HASH  id -> envelope (internal/wire), or a tombstone of 2 bytes: 0, stale list entries left
//	tm:{q}:state              HASH  id -> mutable record, only for jobs that failed, crashed, moved or are kept
//	tm:{q}:ready:<0-9>        LIST  entries (id, and its generation once the job moved), first in first out, by priority
//	tm:{q}:suspect            LIST  entries of jobs one crash short of the limit
//	tm:{q}:scheduled          ZSET  id by due time (ms): delayed jobs, retries, snoozes
//	tm:{q}:sessions           ZSET  session by expiry (ms); -1 = lost, being recovered
//	tm:{q}:running:<session>  ZSET  id by claim token; being here is what running means
//	tm:{q}:lanes:<session>    HASH  lane -> number and answer of its last call
//	tm:{q}:producers          HASH  producer and lane -> number, time and answer of its last enqueue
//	tm:{q}:dead               ZSET  id by time of death (ms)
//	tm:{q}:finished           ZSET  id by end of retention (ms)
//	tm:{q}:results            HASH  id -> result bytes
//	tm:{q}:cancels            HASH  id -> claim token to cancel
//	tm:{q}:wake               LIST  tokens that wake a worker; hints, never payloads
//	tm:{q}:due                LIST  tokens that arm a timer
//	tm:{q}:meta               HASH  counters, mark (see Confirm), paused, ghosts, suspect_ghosts, token (last claim), beat, ttl, no_recover_until, keep_dead (ms)
//	tm:{q}:poke:<instance>    LIST  ends a process's own blocking pop; expires in 10 s
//	tm:queues                 SET   names of queues
//	tm:workers                HASH  instance -> who it is, for people
//	tm:orders                 HASH  instance -> what an operator told it: quiet, resume or stop, and when (ms);
//	                                instance/log-level -> how much to log, and when
//	tm:settings               HASH  ttl (ms): settings of the whole namespace
package broker
