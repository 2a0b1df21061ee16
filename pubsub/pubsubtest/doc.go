// Package pubsubtest is for the tests of programs that use package pubsub. It is imported by test files only.
//
// [Client] is a pubsub client on a Redis in memory, for tests of your own code; inside a testing/synctest bubble, hours of
// redelivery pass in milliseconds:
//
//	func TestPrices(t *testing.T) {
//		client := pubsubtest.Client(t)
//		...
//
// [Run] tries whether a Redis does all that package pubsub builds on: one that somebody manages for you, one behind a
// proxy, one of another make.
//
//	func TestOurRedis(t *testing.T) {
//		pubsubtest.Run(t, pubsubtest.At(os.Getenv("REDIS_URL")))
//	}
package pubsubtest
