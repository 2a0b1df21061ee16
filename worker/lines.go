package worker

import (
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/internal/bus"
	"github.com/tidemill/tidemill/internal/conn"
	"github.com/tidemill/tidemill/pubsub"
)

const (
	// maxBlocking is how many connections of a worker wait for work in a Redis Cluster at most.
	maxBlocking = 16
	// turnFor is how long queues that share such a connection are waited on in turn.
	turnFor = time.Second
	// spareLines stay free of the budget for another worker in the process: its heartbeat and one connection that waits.
	spareLines = 2
)

// lines are the connections that must not wait for others.
type lines struct {
	blocking  []*conn.Line
	heartbeat *conn.Line
	unhold    func() // gives the subscription's share of the budget back
	messages  *pubsub.Client
}

func (l *lines) close() {
	for _, line := range append([]*conn.Line{l.heartbeat}, l.blocking...) {
		if line != nil {
			line.Close()
		}
	}
	if l.messages != nil {
		_ = l.messages.Close()
	}
	if l.unhold != nil {
		l.unhold()
	}
}

func (w *Worker) connect() (*lines, error) {
	l := &lines{}
	err := l.open(w.conn, w.log, len(w.consumers))
	if err != nil {
		l.close()
		return nil, fmt.Errorf("worker: %w", err)
	}
	return l, nil
}

func (l *lines) open(set *conn.Set, log zerolog.Logger, queues int) (err error) {
	if l.heartbeat, err = set.Line("heartbeat"); err != nil {
		return err
	}
	if l.unhold, err = bus.HubOf(set).Hold(); err != nil {
		return err
	}
	if l.messages, err = pubsub.New(set.Shared(), pubsub.Config{Logger: log}); err != nil {
		return err
	}
	for range blockingLines(queues, set.Cluster(), set.Left()) {
		line, err := set.Line("blocking")
		if err != nil {
			return err
		}
		l.blocking = append(l.blocking, line)
	}
	return nil
}

// blockingLines is how many connections wait for work. Of one server a single one waits on the lists of all queues; in a
// Cluster a blocking pop cannot span slots. left is what the budget still has; 1 is asked for in any case.
func blockingLines(queues int, cluster bool, left int) int {
	if !cluster {
		return 1
	}
	return max(min(queues, maxBlocking, left-spareLines), 1)
}

// BlockingPlan says in words how a worker of so many queues waits for work, with the default MaxConnections: what
// `worker check` tells.
func BlockingPlan(queues int, cluster bool) string {
	return blockingPlan(queues, blockingLines(queues, cluster, maxBlocking+spareLines), cluster)
}

func blockingPlan(queues, lines int, cluster bool) string {
	switch {
	case !cluster && queues == 1:
		return "one blocking connection waits for work"
	case !cluster:
		return fmt.Sprintf("one blocking connection waits for work in all %d queues", queues)
	case lines >= queues:
		return fmt.Sprintf("Redis Cluster: a blocking connection for each queue (%d)", queues)
	}
	share := (queues + lines - 1) / lines
	wait := min(time.Duration(share-1)*turnFor, beatAtMost)
	return fmt.Sprintf("Redis Cluster: %d queues share %d blocking connections (up to %d each) in turns of %v: "+
		"a job on an idle queue may wait up to %v to be noticed", queues, lines, share, turnFor, wait)
}
