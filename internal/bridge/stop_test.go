package bridge

import (
	"strings"
	"testing"
	"time"
)

// The end waits as long as one subscription takes, however many there are.
func TestStopsTogether(t *testing.T) {
	inBubble(t, func(e *env) {
		names := []string{"a", "b", "c", "d"}
		var list []Subscription
		for _, name := range names {
			list = append(list, sub(name, "ship"))
		}
		s := e.serve(list...)
		defer e.b.HoldRequest(func(cmd string, _ []string) bool { return strings.HasPrefix(cmd, "EVAL") })()
		for _, name := range names {
			publish(e, name, 1)
		}
		time.Sleep(time.Second)
		began := time.Now()
		s.Stop()
		if took := time.Since(began); took < grace || took > grace+time.Second {
			t.Errorf("it took %v", took)
		}
	})
}
