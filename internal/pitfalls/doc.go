// Package pitfalls shows of each pitfall that sinks queue implementations (the list of the design's chapter on testing)
// that this one does not fall into it: on real servers, with worker processes that are killed, stopped and cut off. It is
// tests and nothing else. "make pitfalls JOBS=100000 FIRE=60s" runs it with as many jobs in the first, and with pub/sub under
// fire for as long.
//
// A pitfall's own test is named after it; those beside it show the same at another place. TestTable holds that they exist.
//
//	 1 a pop that destroys the only copy      TestPitfall01DestructivePop, internal/redistest.TestProxyDroppedReplyWasExecuted
//	 2 a cancelled blocking pop               TestPitfall02CancelledBlockingPop
//	 3 a client's retries repeat writes       TestPitfall03ClientRetries, queue.TestLostRepliesCreateOnce,
//	                                          queue.TestPassedInClientThatRetries, queue.TestResendAfterTheJobRan,
//	                                          queue.TestLateDuplicateRequest
//	 4 a lease by a local clock               TestPitfall04LeaseByLocalClock, worker.TestLateWritesAreRefused,
//	                                          internal/matrix.TestWorkerStopped
//	 5 heartbeats starved by load             TestPitfall05HeartbeatStarved, internal/matrix.TestFewConnections
//	 6 a timeout that frees the slot          TestPitfall06TimeoutFreesTheSlot, worker.TestIgnoredTimeoutKeepsTheSlot,
//	                                          worker.TestStuckHandlerKeepsItsSlot
//	 7 shutdown in the wrong order            TestPitfall07ShutdownOrder, worker.TestDrainWhileClaiming,
//	                                          worker.TestDrainWhileSettling, internal/matrix.TestRedisFrozen
//	 8 a context that kills acknowledgements  TestPitfall08ContextKillsAcks
//	 9 a crash between two commands           TestPitfall09CrashBetweenCommands
//	10 a script that fails half-way           TestPitfall10PartialEffects, internal/brokertest.TestServers,
//	                                          internal/brokertest.TestFullDrains
//	17 gaps of pub/sub                       TestPitfall17PubSubGaps, TestPitfall17PubSubSilence, TestPitfall17PubSubRefused,
//	                                          TestPitfall17PubSubCutAtTheBuffer, TestPitfall17PubSubSharded, TestPitfall17PubSubFailover,
//	                                          TestPitfall17PubSubRestart, TestPitfall17PubSubSlowBesideFast, TestPitfall17PubSubStandsStill,
//	                                          TestPitfall17PubSubHundredThousand
package pitfalls
