package broker

import (
	"context"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/keys"
)

// Bounds of an InputSeq: the number's upper part is the run, the lower one the place. Lua counts in doubles (2^53).
const (
	MaxInputRun   = 1<<13 - 1
	MaxInputPlace = 1<<40 - 1
	inputShift    = 40
)

// InputSeq numbers a call that enqueues jobs of an input, by the run that reads it and the place of the call's last job.
func InputSeq(run, place uint64) uint64 { return run<<inputShift | place }

// Fence begins a run of an input at its lane in a queue. It answers the place of the last job that any run had taken
// there, and whether the lane was known at all; calls of earlier runs that arrive later are ErrStale. It may be repeated.
// A lane that is not known is begun only where create says so. Errors: ErrStale where a later run has begun, ErrFull.
func (b *Broker) Fence(ctx context.Context, q *keys.Queue, producer uuid.UUID, lane uint32, run uint64, create bool) (place uint64, known bool, err error) {
	c := &call{script: fenceScript, args: []any{"EVALSHA", fenceScript.Arg(), 2, q.Key(keys.Producers), q.Key(keys.Meta)}}
	word := ""
	if create {
		word = "1"
	}
	c.arg(producer[:], uint64(lane), run, word)
	r, err := b.do(ctx, c)
	if err != nil {
		return 0, false, err
	}
	r.Array()
	r.Number()
	known = r.Flag()
	place = uint64(r.Number())
	return place, known, r.Err
}
