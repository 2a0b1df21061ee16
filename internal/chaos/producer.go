package chaos

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/queue"
)

const (
	groupSize = 10 // jobs that are enqueued one after the other, or as a batch
	atOnce    = 16 // groups under way
)

// producer enqueues the jobs of its slot that no earlier life of it has begun.
type producer struct {
	role
	client *queue.Client
	book   *ledger
	next   atomic.Int64 // the next group
	begun  map[string]bool
}

func newProducer(r role, client *queue.Client, book *ledger) *producer {
	return &producer{role: r, client: client, book: book, begun: make(map[string]bool)}
}

// run enqueues at the rate until all jobs were begun.
func (p *producer) run(ctx context.Context) error {
	if err := p.remember(); err != nil {
		return err
	}
	first := int64(len(p.begun) / groupSize) // groups are begun in order, or nearly
	start := time.Now()
	var all sync.WaitGroup
	errs := make(chan error, atOnce)
	for range atOnce {
		all.Go(func() {
			for ctx.Err() == nil {
				group := p.next.Add(1) - 1
				if group*groupSize >= int64(p.Jobs) {
					return
				}
				due := time.Duration(float64(group-first) * groupSize / p.Rate * float64(time.Second))
				pause(ctx, time.Until(start.Add(due)))
				if err := p.group(ctx, int(group)); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	all.Wait()
	close(errs)
	return <-errs
}

// remember reads which jobs earlier lives have begun.
func (p *producer) remember() error {
	paths, err := filepath.Glob(filepath.Join(p.Dir, fmt.Sprintf("%s-%d-*.log", p.Role, p.Slot)))
	if err != nil {
		return err
	}
	for _, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		for lines := bufio.NewScanner(file); lines.Scan(); {
			if words := strings.Fields(lines.Text()); len(words) == 3 && words[0] == wordTry {
				p.begun[words[2]] = true
			}
		}
		file.Close()
	}
	return nil
}

// group enqueues one group: the odd ones as a batch.
func (p *producer) group(ctx context.Context, group int) error {
	var specs []spec
	var tries strings.Builder
	for i := group * groupSize; i < min(p.Jobs, (group+1)*groupSize); i++ {
		if name := nameOf(p.Slot, i); !p.begun[name] {
			specs = append(specs, newSpec(p.Seed, name))
			tries.WriteString(line(wordTry, name))
		}
	}
	if len(specs) == 0 {
		return nil
	}
	if group%2 == 0 {
		for _, s := range specs {
			if err := p.single(ctx, s); err != nil {
				return err
			}
		}
		return nil
	}
	if err := p.book.write(tries.String()); err != nil {
		return err
	}
	items := make([]queue.Item, len(specs))
	for i, s := range specs {
		items[i] = queue.Item{Args: s.Args, Options: s.opts}
	}
	results, _ := p.client.EnqueueMany(ctx, items) // each result tells
	for i, s := range specs {
		again, err := p.told(s, results[i].ID, results[i].Err)
		if err != nil {
			return err
		}
		if again {
			if err := p.single(ctx, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// single enqueues one job, until Redis is there; a job of an own id that is kept, sometimes once more.
func (p *producer) single(ctx context.Context, s spec) error {
	for ctx.Err() == nil {
		if err := p.book.note(wordTry, s.Name); err != nil {
			return err
		}
		id, err := p.client.Enqueue(ctx, s.Args, s.opts...)
		acked := err == nil
		again, err := p.told(s, id, err)
		if err != nil {
			return err
		}
		if !again && (!acked || !s.twice) {
			return nil
		}
		s.twice = s.twice && again
	}
	return nil
}

// told writes down what became of an enqueue. Again: nothing was done, for Redis was away.
func (p *producer) told(s spec, id uuid.UUID, err error) (again bool, failed error) {
	var duplicate *queue.DuplicateError
	switch {
	case errors.Is(err, queue.ErrNotConfirmed): // it is there, and a failover may take it
		return false, p.book.note(wordMaybe, s.Name, "unconfirmed")
	case err == nil:
		return false, p.book.note(wordAck, s.Name, id)
	case errors.As(err, &duplicate):
		return false, p.book.note(wordDup, s.Name, duplicate.ID)
	case errors.Is(err, queue.ErrOutcomeUnknown):
		return false, p.book.note(wordMaybe, s.Name, err)
	case away(err):
		return true, p.book.note(wordNot, s.Name, err)
	}
	return false, fmt.Errorf("enqueue of %s: %w", s.Name, err)
}
