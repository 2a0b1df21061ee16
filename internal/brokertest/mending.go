package brokertest

import (
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/keys"
)

// tourOfMending makes the calls of the doctor, on a queue that has several sessions and no defect.
func (e *env) tourOfMending() {
	e.Helper()
	x := e.b.Examine(e.q, nil)
	for key, of := range map[string]string{e.q.Key(keys.Jobs): broker.OfHash, e.q.Key(keys.Dead): broker.OfSet,
		e.q.Key(keys.Ready): broker.OfList, e.q.Running("s"): broker.OfSet} {
		_, err := x.Page(e.ctx, key, of, 100, broker.Spot{})
		e.must(err)
	}
	_, err := x.Look(e.ctx, ids(98, 99))
	e.must(err)
	sound := []broker.Mended{broker.MendSound, broker.MendSound}
	for _, dry := range []bool{true, false} {
		for _, mend := range []func() ([]broker.Mended, error){
			func() ([]broker.Mended, error) { return x.Untangle(e.ctx, dry, ids(98, 99)) },
			func() ([]broker.Mended, error) { return x.Clear(e.ctx, dry, ids(98, 99)) },
			func() ([]broker.Mended, error) { return x.Requeue(e.ctx, dry, ids(98, 99), nil) },
			func() ([]broker.Mended, error) {
				return x.Recount(e.ctx, dry, []broker.Number{{ID: id(98), Generation: -1, Seen: 1}, {Field: "ghosts", Value: "77"}})
			},
		} {
			got, err := mend()
			e.must(err)
			e.equal("mended", got, sound)
		}
		one, err := x.Entry(e.ctx, dry, broker.EntryOf(uuid.UUID{1}, 0), []broker.Stand{{List: keys.Ready, At: 1}})
		e.must(err)
		e.equal("mended", one, broker.MendMoved)
		word, _, err := x.Adopt(e.ctx, dry, "s", time.Hour, ttl)
		e.must(err)
		e.equal("adopted", word, broker.AdoptSound)
		one, err = e.b.Aside(e.ctx, dry, e.q.Key(keys.Meta), e.q.Key(keys.Meta)+":aside", "hash")
		e.must(err)
		e.equal("set aside", one, broker.MendSound)
	}
}
