package redisserver

import (
	"testing"
)

// A server's ports are its own while it is down: whoever asks for free ones meanwhile is not given them.
func TestPortsOfADownServerAreKept(t *testing.T) {
	port, held, err := freePort(true)
	if err != nil {
		t.Fatal(err)
	}
	for _, taken := range []int{port, port + busShift} {
		if !free(taken) {
			t.Fatalf("something listens on port %d", taken)
		}
		if c := claimAll([]int{taken}); c != nil {
			t.Errorf("port %d is given away", taken)
			c.release()
		}
	}
	held.release()
	again := claimAll([]int{port, port + busShift})
	if again == nil {
		t.Fatal("ports that nobody needs any more are not given away")
	}
	again.release()
	if other, err := FreePort(); err != nil || other == 0 {
		t.Errorf("port %d, %v", other, err)
	}
}
