package queue_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// one is a wait for one replica that a test can afford to see fail.
var one = queue.Durability{Replicas: 1, Timeout: 300 * time.Millisecond}

// patient is one that must succeed, however slow the machine is.
var patient = queue.Durability{Replicas: 1, Timeout: 30 * time.Second}

// expectNotConfirmed checks an error of a job that is stored.
func expectNotConfirmed(t testing.TB, err error, id uuid.UUID, replicas, wanted int) {
	t.Helper()
	var e *queue.NotConfirmedError
	if !errors.Is(err, queue.ErrNotConfirmed) || !errors.As(err, &e) {
		t.Errorf("not told: %v", err)
		return
	}
	if e.ID != id || id == uuid.Nil || e.Replicas != replicas || e.Wanted.Replicas != wanted || e.Err != nil {
		t.Errorf("job %s: %+v", id, e)
	}
}

// A job is confirmed by a replica that has it, and by none that does not answer; its id tells later.
func TestDurabilityReplicas(t *testing.T) {
	redistest.EachReplicated(t, 1, func(t *testing.T, all []*redisserver.Server) {
		c := open(t, all[0].URL(), queue.Config{Durability: patient})
		enqueue(t, c, email{"confirmed"})
		two := queue.Durability{Replicas: 2, Timeout: 100 * time.Millisecond}
		id, err := c.Enqueue(t.Context(), email{"two"}, queue.Durable(two))
		expectNotConfirmed(t, err, id, 1, 2)
		if err == nil || !strings.HasSuffix(err.Error(), "1 of 2 replicas") || !strings.Contains(err.Error(), "stored, replication not confirmed: job "+id.String()) {
			t.Errorf("the error reads %q", err)
		}

		if err := all[1].Freeze(); err != nil {
			t.Fatal(err)
		}
		id, err = c.Enqueue(t.Context(), email{"frozen"}, queue.Durable(one), queue.ID("mine"))
		expectNotConfirmed(t, err, id, 0, 1)
		_, err = c.Enqueue(t.Context(), email{"frozen"}, queue.Durable(one), queue.ID("mine"))
		expectNotConfirmed(t, err, id, 0, 1)
		if !errors.Is(err, queue.ErrDuplicate) {
			t.Errorf("no duplicate: %v", err)
		}
		began := time.Now()
		if enqueue(t, c, email{"off"}, queue.Durable(queue.Durability{})); time.Since(began) > 10*time.Second {
			t.Error("one that wants no confirmation waited")
		}
		results, err := c.EnqueueMany(t.Context(), queue.Items(make([]email, 2500), queue.Durable(one)))
		var batch *queue.BatchError
		if !errors.As(err, &batch) || batch.Failed != 0 || batch.Unconfirmed != 2500 || !strings.HasPrefix(err.Error(), "2500 of 2500 jobs are stored, but not confirmed, the first: ") {
			t.Errorf("the batch: %v", err)
		}
		for _, r := range results {
			expectNotConfirmed(t, r.Err, r.ID, 0, 1)
		}
		if err := all[1].Thaw(); err != nil {
			t.Fatal(err)
		}
		_, err = c.Enqueue(t.Context(), email{"frozen"}, queue.ID("mine"))
		if !errors.Is(err, queue.ErrDuplicate) || errors.Is(err, queue.ErrNotConfirmed) {
			t.Errorf("confirmed by now: %v", err)
		}
		if _, err := c.EnqueueMany(t.Context(), queue.Items(make([]email, 2500))); err != nil {
			t.Error(err)
		}
		expectReady(t, c, "default", 4+5000)
	})
}
