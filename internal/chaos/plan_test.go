package chaos

import (
	"reflect"
	"slices"
	"testing"
	"time"
)

// The seed is the plan: which fault, when, upon whom, for how long.
func TestPlanFollowsFromTheSeed(t *testing.T) {
	o := NewOptions(7, 1000, time.Minute, []Kind{Kill, Stop, Term, Link, Loss, Flush, Restart, Failover})
	plan := NewPlan(o, 0)
	if !reflect.DeepEqual(plan, NewPlan(o, 0)) {
		t.Error("one seed, two plans")
	}
	if reflect.DeepEqual(plan, NewPlan(o, 1)) {
		t.Error("two rounds, one plan")
	}
	o.Seed++
	if reflect.DeepEqual(plan, NewPlan(o, 0)) {
		t.Error("two seeds, one plan")
	}
	count := make(map[Kind]int)
	for i, f := range plan {
		count[f.Kind]++
		if f.At < 0 || f.At+f.For > o.Duration || i > 0 && f.At < plan[i-1].At {
			t.Errorf("%v is out of order or time", f)
		}
	}
	if count[Kill] < 29 {
		t.Errorf("%d kills in a minute, want one every 2 s", count[Kill])
	}
	for _, kind := range []Kind{Stop, Term, Link, Flush, Restart, Failover} {
		if count[kind] < 3 {
			t.Errorf("%d faults %s in a minute", count[kind], kind)
		}
	}
	for _, f := range NewPlan(NewOptions(7, 1000, time.Minute, []Kind{Link}), 0) {
		if !slices.Contains(plan, f) {
			t.Errorf("%v is not in the plan of all kinds", f)
		}
	}
}

// A job is what its name and the seed say, also to a producer that goes on where another was killed.
func TestSpecFollowsFromTheName(t *testing.T) {
	same := func(a, b spec) bool {
		return a.Args == b.Args && a.own == b.own && a.queue == b.queue && len(a.opts) == len(b.opts)
	}
	shapes := make(map[Args]bool)
	for i := range 500 {
		name := nameOf(1, i)
		s := newSpec(3, name)
		if !same(s, newSpec(3, name)) {
			t.Errorf("%s is two jobs", name)
		}
		s.Args.Name = ""
		shapes[s.Args] = true
	}
	if len(shapes) < 30 {
		t.Errorf("500 jobs of %d shapes", len(shapes))
	}
}

func TestParseKinds(t *testing.T) {
	if kinds, err := ParseKinds("kill, stop,kill"); err != nil || !slices.Equal(kinds, []Kind{Kill, Stop}) {
		t.Errorf("%v, %v", kinds, err)
	}
	for _, text := range []string{"", "kil", "kill,", "failover,proxy"} {
		if kinds, err := ParseKinds(text); err == nil {
			t.Errorf("%q: %v", text, kinds)
		}
	}
}
