package worker

import (
	"testing"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
)

// A job's running handler is found among those that share its tag, until it has returned.
func TestTwins(t *testing.T) {
	c := &consumer{}
	var runs []*run
	for n := range 5 {
		for same := range 3 {
			id := uuid.UUID{0: byte(same), 14: 0x10 * byte(same), 15: byte(n)} // tags are the last 12 bits
			if c.twin(id) != nil {
				t.Fatalf("%v runs already", id)
			}
			runs = append(runs, &run{claim: broker.Claim{ID: id}})
			c.enter(runs[len(runs)-1])
		}
	}
	if c.running != 15 || tag(runs[0].claim.ID) != tag(runs[2].claim.ID) {
		t.Fatalf("%d run, tags %d and %d", c.running, tag(runs[0].claim.ID), tag(runs[2].claim.ID))
	}
	for i := range runs { // the middle of a chain, its end, its head
		gone := runs[(i*4+1)%len(runs)]
		if c.twin(gone.claim.ID) != gone {
			t.Errorf("%v is not found", gone.claim.ID)
		}
		c.leave(gone)
		if c.twin(gone.claim.ID) != nil || gone.next != nil || c.running != len(runs)-1-i {
			t.Errorf("%v stays, %d run", gone.claim.ID, c.running)
		}
	}
	if c.handlers != [tags]*run{} {
		t.Error("some are left")
	}
}
