package queue

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	// lookFirst is how long Wait waits for a hint before it looks again, lookMost what that grows to.
	lookFirst = time.Second
	lookMost  = 2 * time.Second
	// awayFor is how long Redis may be away before Wait gives up.
	awayFor = resendFor
)

// Wait waits until a job has ended (succeeded, dead, cancelled or expired) and answers it as it stands then. For a job
// that this client enqueued with Notify it takes a ms longer than the job; any other is looked at each second or two, as
// is one whose hint was lost. A Redis that is away is waited for, up to 60 s.
//
// What Wait can tell is what the job leaves behind: without a retention (Retain) one that succeeded, was cancelled or
// expired is ErrUnknownJob. A dead job always stays.
//
// Errors: ErrUnknownJob, ErrInvalid, ErrUnavailable, ErrClosed, or the cause with which ctx ended; the job goes on then, and
// the snapshot, unless it is nil, tells how it was last seen.
func (c *Client) Wait(ctx context.Context, queue, id string) (*Snapshot, error) {
	_, uid, err := c.find(queue, id)
	if err != nil {
		return nil, err
	}
	hint, stop := c.endings.watch(ended{queue, uid})
	defer stop()
	var seen *Snapshot
	var away time.Time
	pause := lookFirst
	for {
		s, err := c.get(ctx, c.broker, queue, id) // never a replica: the job may have been enqueued just now
		switch {
		case err == nil && s.State.ended():
			return s, nil
		case err == nil:
			seen, away = s, time.Time{}
		case ctx.Err() != nil:
			return seen, context.Cause(ctx)
		case !errors.Is(err, ErrUnavailable):
			return seen, err
		case away.IsZero():
			away = time.Now()
		case time.Since(away) > awayFor:
			return seen, fmt.Errorf("waiting for %s in queue %q: %w", id, queue, err)
		}
		look := time.NewTimer(pause - rand.N(pause/8)) // jitter: many who began together do not stay together
		select {
		case <-hint:
		case <-look.C:
			pause = min(pause*5/4, lookMost)
		case <-ctx.Done():
		case <-c.life.Done():
		}
		look.Stop()
		if ctx.Err() != nil {
			return seen, context.Cause(ctx)
		}
		if err := c.closed(); err != nil {
			return seen, err
		}
	}
}

// ended tells a state that a job leaves only by an operator's hand, or not at all.
func (s State) ended() bool {
	return s == DeadState || s == Succeeded || s == Cancelled || s == Expired
}
