package chaos

import (
	"fmt"
	"testing"
	"time"
)

// A run that did not have its jobs or its faults is no proof, and says so.
func TestReportTellsOfGaps(t *testing.T) {
	run := func(jobs, done, kills int) []string {
		o := NewOptions(1, 4, 8*time.Second, []Kind{Kill, Loss}) // 4 jobs, and a kill every 2 s
		h := NewHistory(o.TTL)
		for i := range jobs {
			j := h.job(fmt.Sprint("p0.", i))
			j.Fate = Acked
			if i < done {
				j.Claims = []Claim{{Token: 1, Outcome: endOK}}
			}
		}
		for range kills {
			h.Strikes = append(h.Strikes, Strike{Kind: Kill})
		}
		return newReport(o, h, &Ending{}, time.Second).gaps()
	}
	if gaps := run(4, 4, 3); len(gaps) > 0 {
		t.Errorf("a whole run: %q", gaps)
	}
	for name, gaps := range map[string][]string{"jobs never begun": run(3, 3, 3), "jobs never done": run(4, 1, 3), "nobody killed": run(4, 4, 0)} {
		if len(gaps) != 1 {
			t.Errorf("%s: %q", name, gaps)
		}
	}
}
