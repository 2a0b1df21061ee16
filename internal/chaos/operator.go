//go:build unix

package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"time"

	"github.com/tidemill/tidemill/queue"
)

// operateEvery is how often the operator looks for something to do.
const operateEvery = 200 * time.Millisecond

// operator is somebody at the console: now and then a job is cancelled, another deleted, and what died because it
// crashed its worker too often is redriven.
type operator struct {
	client *queue.Client
	book   *ledger
	rnd    *rand.Rand
}

func newOperator(a *arena) (*operator, error) {
	book, err := openLedger(filepath.Join(a.dir, "operator-0-1.log"))
	if err != nil {
		return nil, err
	}
	return &operator{client: a.client, book: book, rnd: rand.New(rand.NewPCG(a.o.Seed, 99))}, nil
}

// run works until ctx ends. Once meddle has ended it does nothing but redrive.
func (o *operator) run(ctx, meddle context.Context) error {
	states := []queue.State{queue.Ready, queue.Scheduled, queue.Running}
	for ; ctx.Err() == nil; pause(ctx, operateEvery) {
		name := queues[o.rnd.IntN(len(queues))]
		verb, state := verbCancel, states[o.rnd.IntN(len(states))]
		if o.rnd.IntN(2) == 0 && state != queue.Running {
			verb = verbDelete
		}
		if meddle.Err() == nil {
			if err := o.one(ctx, verb, name, queue.ListOptions{State: state, Limit: 20}); err != nil {
				return err
			}
		}
		for _, name := range queues {
			if err := o.one(ctx, verbRedrive, name, queue.ListOptions{State: queue.DeadState, Error: "crashed its worker"}); err != nil {
				return err
			}
		}
	}
	return nil
}

// one does a verb to one job of a listing. Jobs under a text of their producer's own are left alone: those are
// enqueued twice, and must be there the second time.
func (o *operator) one(ctx context.Context, verb, name string, options queue.ListOptions) error {
	var found []*queue.Snapshot
	for s, err := range o.client.List(ctx, name, options) {
		if err != nil {
			return nil // Redis is away; another time
		}
		if s.Key == "" || verb == verbRedrive {
			found = append(found, s)
		}
	}
	if len(found) == 0 {
		return nil
	}
	s := found[o.rnd.IntN(len(found))]
	var args Args
	if err := json.Unmarshal(s.Payload, &args); err != nil {
		return err
	}
	if err := o.book.note(wordWill, args.Name, verb); err != nil {
		return err
	}
	err := o.do(ctx, verb, name, s.ID.String())
	switch {
	case err == nil:
		return o.book.note(wordDid, args.Name, verb)
	case slices.ContainsFunc([]error{queue.ErrUnknownJob, queue.ErrWrongState}, func(e error) bool { return errors.Is(err, e) }):
		return o.book.note(wordBeen, args.Name, verb)
	case away(err) || errors.Is(err, queue.ErrConflict) || ctx.Err() != nil:
		return nil // it may have been done
	}
	return err
}

func (o *operator) do(ctx context.Context, verb, name, id string) error {
	switch verb {
	case verbCancel:
		_, err := o.client.Cancel(ctx, name, id)
		return err
	case verbDelete:
		return o.client.Delete(ctx, name, id)
	}
	return o.client.Redrive(ctx, name, id)
}
