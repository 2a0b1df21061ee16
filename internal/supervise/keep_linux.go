package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/internal/backoff"
	"github.com/tidemill/tidemill/internal/loop"
)

// Start starts a Supervisor; ctx bounds the start only. Main must have been called first in this program.
func Start(ctx context.Context, log zerolog.Logger) (*Supervisor, error) {
	if os.Getenv(marker) != "" {
		return nil, errors.New("supervise: this process was started as a supervisor, but its main does not call supervise.Main first")
	}
	first, err := dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("supervise: %w", err)
	}
	k := &keeper{log: log, link: first, over: make(chan struct{})}
	k.ctx, k.stop = context.WithCancel(context.WithoutCancel(ctx))
	log.Debug().Int("pid", first.cmd.Process.Pid).Msg("supervisor of exec handlers started")
	go k.run()
	return &Supervisor{engine: k}, nil
}

// keeper keeps a supervisor process running.
type keeper struct {
	log  zerolog.Logger
	ctx  context.Context
	stop context.CancelFunc
	over chan struct{}

	mu   sync.Mutex
	link *link
}

func (k *keeper) current() *link {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.link
}

// start starts a command; between two supervisors it says ErrLost.
func (k *keeper) start(c Command) (*Process, error) { return k.current().start(c) }

// run replaces a supervisor that is gone.
func (k *keeper) run() {
	defer close(k.over)
	policy := backoff.Policy{Base: 100 * time.Millisecond, Cap: 10 * time.Second, Factor: 2, Jitter: 0.25}
	for {
		old := k.current()
		select {
		case <-k.ctx.Done():
			return
		case <-old.over:
		}
		if k.ctx.Err() != nil {
			return
		}
		k.log.Error().Int("pid", old.cmd.Process.Pid).Stringer("ended", old.cmd.ProcessState).
			Msg("the supervisor of exec handlers is gone: their commands were killed and are tried again; starting another")
		err := loop.Retry(k.ctx, policy, k.replace, func(err error, _ int, next time.Duration) {
			k.log.Error().Err(err).Dur("retry_in", next).Msg("starting a supervisor failed")
		})
		if err != nil {
			return
		}
	}
}

func (k *keeper) replace(ctx context.Context) error {
	l, err := dial(ctx)
	if err != nil {
		return err
	}
	k.mu.Lock()
	k.link = l
	k.mu.Unlock()
	k.log.Info().Int("pid", l.cmd.Process.Pid).Msg("supervisor of exec handlers started")
	return nil
}

func (k *keeper) close() {
	k.stop()
	<-k.over // no further link comes
	k.current().close()
}
