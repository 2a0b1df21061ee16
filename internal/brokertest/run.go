package brokertest

import (
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"
)

// testCase is one case of the suite. It gets a queue of its own in a namespace of its own.
type testCase struct {
	name string
	run  func(*env)
}

// suite is every case, a file for each transition.
var suite = [][]testCase{
	enqueueCases, stampCases, fenceCases, exchangeCases, ackCases, replayCases, ghostCases, suspectCases, wakeCases, failCases, promoteCases,
	heartbeatCases, reconcileCases, recoverCases, cancelCases, editCases, listCases, peekCases, dropCases, operatorCases, sweepCases, wrongKeyCases, flushCases,
	memoryCases, processCases, protocolCases,
}

// Run runs every case. Open answers a client of the server under test; it is called once for each case, and the cases
// do not disturb each other on one server.
func Run(t *testing.T, open func(t *testing.T) redis.UniversalClient) { run(t, open, suite) }

// RunBig runs the cases with tens of thousands of jobs, which take the embedded server seconds.
func RunBig(t *testing.T, open func(t *testing.T) redis.UniversalClient) {
	run(t, open, [][]testCase{bigCases})
}

func run(t *testing.T, open func(t *testing.T) redis.UniversalClient, groups [][]testCase) {
	n := 0
	for _, group := range groups {
		for _, c := range group {
			n++
			namespace := fmt.Sprintf("case%d", n)
			t.Run(c.name, func(t *testing.T) { c.run(newEnv(t, open(t), namespace)) })
		}
	}
}
