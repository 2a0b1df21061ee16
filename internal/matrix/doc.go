// Package matrix shows that Tidemill survives what its design says it must: each row of the failure matrix, and the
// later half of the pitfalls that sink queues, as tests with real servers and real worker processes. It holds tests only.
//
// A test named without a package is in this one. TestTable holds the tables against the sources.
//
// # Failure matrix
//
//	worker kill -9 mid-job ................ TestWorkerKilled, worker.TestNextWorkerRecovers
//	worker SIGSTOP for 3x TTL ............. TestWorkerStopped, worker.TestLateWritesAreRefused, worker.TestStuckHandlerKeepsItsSlot
//	reply of any command lost, late ....... TestReplyLost, TestRequestLate, worker.TestLostReplies, worker.TestLateAndReorderedCalls,
//	                                        queue.TestResendAfterTheJobRan, queue.TestLateDuplicateRequest, queue.TestLateDuplicateBatch,
//	                                        queue.TestVerbLostReply, queue.TestVerbArrivesLate
//	redis restarts, down 1 s or 60 s ...... TestRedisRestarted, TestRedisDown, TestRedisLosesItsLastMoment, queue.TestServerDiesInABatch
//	redis frozen 30 s ..................... TestRedisFrozen, worker.TestBlackoutExpiresNobody, worker.TestDrainWithoutRedis
//	failover, migration, clock jumps ...... worker.TestSentinelFailoverUnderFire, worker.TestClusterFailoverUnderFire (with and
//	                                        without WAIT), worker.TestSlotMigrationUnderFire, worker.TestFailover,
//	                                        worker.TestClusterShardDown, worker.TestClusterShardFrozen, TestBlockedClientsLeaveTheOldPrimary, worker.TestServerClockJumps (the embedded
//	                                        server's clock: no other can be set), internal/brokertest.TestClockGoesBack
//	SCRIPT FLUSH at any time .............. TestScriptsForgotten, queue.TestScriptFlush, internal/brokertest.TestServers
//	maxmemory reached ..................... TestRedisFull, queue.TestFullRedis, internal/brokertest.TestFullDrains,
//	                                        internal/brokertest.TestFullWorkerGoesOn
//	eviction other than noeviction ........ TestEvictionPolicy, queue.TestOpenUnfitServers, internal/conn.TestCheckReal
//	handler panics, exits, ignores ctx .... TestHandlersMisbehave, worker.TestPanicKeepsItsStack, worker.TestGoexitKeepsThePool,
//	                                        worker.TestIgnoredTimeoutKeepsTheSlot, worker.TestDrainLeavesStuckHandler
//	poison job beside 200 others .......... TestPoisonJob
//	unknown kind .......................... TestUnknownKind, worker.TestUnknownKindWaits (to its end after a day),
//	                                        worker.TestUnknownKindIsForgivenOnceKnown
//	corrupt envelope ...................... TestCorruptEnvelope, worker.TestCorruptEnvelopeIsDeadAlone, worker.TestCorruptRecordIsDead
//	wrong key type ........................ TestWrongKeyType, worker.TestWrongKeyKeepsOutcomes, queue.TestWrongKeyTypes,
//	                                        internal/brokertest.TestServers (every key, every transition, nothing moves),
//	                                        TestCounterThatIsNoNumber
//	consumers of a durable topic die ...... TestDurableKilled (a slow one that lives keeps its message), pubsub.TestKilledConsumersAndRedis
//	redis dies under durable topics ....... TestDurableKilled, TestDurableFailover
//	and under live ones ................... internal/pitfalls.TestPitfall17PubSubRestart, internal/pitfalls.TestPitfall17PubSubFailover
//
// # Pitfalls
//
//	11 maxmemory wedges; LRU deletes ...... TestRedisFull, TestEvictionPolicy, internal/brokertest.TestFullTakesNothing
//	12 NOSCRIPT, in pipelines too ......... TestScriptsForgotten, queue.TestScriptFlush (in MULTI), internal/brokertest.TestServers
//	                                        (before each call, between the calls of a pipeline)
//	13 cluster ............................ TestScriptsTouchDeclaredKeysOnly, internal/brokertest.TestTopologies (3 primaries),
//	                                        worker.TestSlotMigrationUnderFire, worker.TestBlockingLines
//	14 failover; blocked clients .......... TestBlockedClientsLeaveTheOldPrimary, worker.TestSentinelFailoverUnderFire,
//	                                        worker.TestClusterFailoverUnderFire
//	15 half-open connections .............. TestBlackHole, TestReadinessInABlackHole, worker.TestHealthOfADeadBlockingConnection,
//	                                        internal/conn.TestDropSilent, internal/conn.TestDialerSetsTimeouts,
//	                                        internal/bus.TestDeadSocketIsNoticed
//	16 pool starvation .................... TestFewConnections, internal/conn.TestBudgetHolds
//	17 gaps in pub/sub .................... internal/bus.TestNothingIsMissingSilently, internal/bus.TestGapReachesBackBehindTheLag,
//	                                        internal/bus.TestOutputBuffer, internal/bus.TestRefusedByACL
//	18 unbounded growth ................... TestBackToAConstant, worker.TestSuccessLeavesNothing, worker.TestSilentWorkersAreDropped,
//	                                        internal/brokertest.TestServers (memory)
//	beside them ........................... TestManyRunning (50,000 at once in one process)
//
// # Full size
//
// By default outages are 10 s at a TTL of 2 s, so that the package waits for half a minute and computes little. The sizes
// that are promised:
//
//	go test ./internal/matrix -full -v -timeout 20m          (also: make matrix)
package matrix
