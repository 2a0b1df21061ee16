package queue

import (
	"context"
	"fmt"

	"github.com/google/uuid"
)

// Enqueue adds one job and answers its id. Those that come at the same time share calls to Redis; one that comes
// alone is sent at once. While Redis is away it is tried again: up to 5 s where no connection can be made or Redis says
// that it does not serve (ErrUnavailable), up to 60 s where the outcome is unknown (ErrOutcomeUnknown), or until ctx ends.
//
// Errors: ErrInvalid, ErrDuplicate (with the id of the job that is there), ErrPayloadTooLarge, ErrRedisFull,
// ErrUnavailable, ErrOutcomeUnknown, ErrClosed; with a Durability also ErrNotConfirmed (the job is in the queue, and
// the id is answered) and ErrUnsupported.
func (c *Client) Enqueue(ctx context.Context, args Args, options ...Option) (uuid.UUID, error) {
	made := commons.Get().(*common)
	b, err := c.build(made, args, nil, options)
	if err != nil {
		return uuid.Nil, err
	}
	if err := ctx.Err(); err != nil {
		return uuid.Nil, context.Cause(ctx)
	}
	if err := b.lanes.doubts.settled(ctx, &b.item); err != nil {
		return uuid.Nil, err
	}
	if err := b.lanes.share(ctx, b.item, b.durable); err != nil {
		return b.item.ID, fmt.Errorf("enqueue %s: %w", args.Kind(), err)
	}
	made.reuse()
	return b.item.ID, nil
}
