package redistest

import "testing"

func TestEachTopology(t *testing.T) {
	var names []string
	EachTopology(t, func(t *testing.T, topo *Topology) {
		names = append(names, topo.Name)
		rdb := topo.Client(t)
		for _, key := range []string{"a", "b", "c", "d"} {
			if err := rdb.Set(t.Context(), key, "x", 0).Err(); err != nil {
				t.Error(err)
			}
		}
		topo.Disconnect(t)
		topo.Forget(t)
		topo.Flush(t)
		if n := rdb.Exists(t.Context(), "a").Val() + rdb.Exists(t.Context(), "d").Val(); n != 0 {
			t.Error("keys are left")
		}
	})
	if len(names) < 5 {
		t.Errorf("ran %q", names)
	}
}

func TestSentinelFailover(t *testing.T) {
	s := NewSentinel(t, 1, 3)
	old := s.Primary(t)
	s.Failover(t)
	if s.Primary(t) == old {
		t.Error("the primary is the same")
	}
}

func TestClusterMovesASlot(t *testing.T) {
	c := NewCluster(t, 3, true)
	rdb := c.Client(t)
	if err := rdb.Set(t.Context(), "{q}:a", "x", 0).Err(); err != nil {
		t.Fatal(err)
	}
	to := c.Primaries[0]
	if c.Owner(t, "{q}:a") == to {
		to = c.Primaries[1]
	}
	c.Move(t, "{q}:a", to)
	if c.Owner(t, "{q}:a") != to {
		t.Error("the slot is where it was")
	}
	if got := rdb.Get(t.Context(), "{q}:a").Val(); got != "x" {
		t.Errorf("got %q", got)
	}
}
