package chaos

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// childEnv tells the test binary to be a process of the run instead: it holds a role.
const childEnv = "TIDEMILL_CHAOS_ROLE"

// How a worker process ends that had to leave something behind: its jobs run again.
const (
	exitFailed  = 1
	exitUnclean = 4
)

// role is what a process is to do.
type role struct {
	Role       string
	Slot, Life int
	URL, Dir   string
	Seed       uint64
	Jobs       int // of this producer in all
	Rate       float64
	TTL        time.Duration
	Confirmed  bool // enqueues wait for a replica
}

// process names this life of the slot, and its ledger.
func (r role) process() string { return fmt.Sprintf("%s-%d", slotName(r.Role, r.Slot), r.Life) }

// Child makes this process what the environment says, and ends it. It returns where it says nothing: TestMain calls it.
func Child() {
	text := os.Getenv(childEnv)
	if text == "" {
		return
	}
	err := beChild(text)
	switch {
	case err == nil:
		os.Exit(0)
	case errors.Is(err, worker.ErrDrainTimeout), errors.Is(err, worker.ErrUntold):
		os.Exit(exitUnclean)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(exitFailed)
}

func beChild(text string) error {
	var r role
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return err
	}
	go attend()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	book, err := openLedger(filepath.Join(r.Dir, r.process()+".log"))
	if err != nil {
		return err
	}
	go stalls(ctx, book, r.TTL/4)
	client, err := r.connect(ctx)
	if err != nil || ctx.Err() != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	switch r.Role {
	case roleProducer:
		return newProducer(r, client, book).run(ctx)
	case roleSoaker:
		return r.soak(ctx, client)
	}
	return r.work(ctx, client, book)
}

// attend answers each line of the parent's with what this process takes up, and ends with the parent.
func attend() {
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		fmt.Println(resident(), runtime.NumGoroutine())
	}
	os.Exit(exitFailed)
}

// stalls writes down when this process got no processor for so long, until ctx ends.
func stalls(ctx context.Context, book *ledger, least time.Duration) {
	tick := time.NewTicker(least / 4)
	defer tick.Stop()
	for last := time.Now(); ctx.Err() == nil; {
		<-tick.C
		now := time.Now()
		if gap := now.Sub(last); gap >= least {
			_ = book.note(wordStall, gap.Microseconds()) // what cannot be written down explains nothing
		}
		last = now
	}
}

// connect opens a client, however long Redis is away. It returns none when ctx ended first.
func (r role) connect(ctx context.Context) (*queue.Client, error) {
	var config queue.Config
	if r.Confirmed {
		config.Durability = queue.Durability{Replicas: 1, Timeout: 500 * time.Millisecond}
	}
	for {
		client, err := queue.Open(ctx, r.URL, config)
		if err == nil || ctx.Err() != nil {
			return client, ignoreEnd(ctx, err)
		}
		if !away(err) {
			return nil, err
		}
		pause(ctx, 100*time.Millisecond)
	}
}

// away tells whether an error means that Redis does not serve at the moment, and would be no reason for a supervisor
// to give up.
func away(err error) bool {
	return errors.Is(err, queue.ErrUnavailable) || errors.Is(err, queue.ErrOutcomeUnknown) || errors.Is(err, queue.ErrReadOnly)
}

// ignoreEnd drops an error of a context that was ended on purpose.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
