package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/conn"
	"github.com/tidemill/tidemill/internal/loop"
	"github.com/tidemill/tidemill/queue"
)

// ErrDrainTimeout is what Run returns when handlers had to be cut off: their jobs went back to the queue.
var ErrDrainTimeout = errors.New("drain timed out, unfinished jobs were released")

// ErrUntold is what Run returns when Redis did not take the outcomes of jobs in time: they run again once their session
// has expired.
var ErrUntold = errors.New("redis did not take outcomes in time, those jobs run again")

// Worker runs the jobs of some queues. It runs once.
type Worker struct {
	client   *queue.Client
	broker   *broker.Broker
	conn     *conn.Set
	config   Config // what Reload may change is guarded by mu
	rules    atomic.Pointer[routing]
	log      zerolog.Logger
	instance string
	ttl      time.Duration
	base     context.Context // of handlers: the values of Run's context, never its end
	started  atomic.Bool
	aborted  chan struct{}
	abort    sync.Once

	offset   atomic.Int64             // server time minus this machine's, us
	measures atomic.Pointer[measures] // nil: attempts are not measured
	drained  *loop.Trigger
	tasks    sync.Pool
	fetched  *loop.Trigger // there is something in the buffer

	mu        sync.Mutex // guards everything below and the consumers' fields
	consumers []*consumer
	buffer    []*run   // claimed, not started, first in first out
	spare     []*batch // to be used again
	executors int      // goroutines that run handlers
	starting  bool     // one of them was started and has not taken a job yet
	running   int      // handlers
	wanted    int      // jobs asked for in calls under way
	suspects  int      // suspects claimed and not done with
	turns     int      // suspects claimed so far
	stopping  bool     // nothing is claimed any more
	quiet     bool     // nothing is claimed for now
	idleLanes int
	closing   bool                 // lanes end once nothing is left to acknowledge
	zombies   map[claimKey]*run    // handlers that still run a claim that was lost
	unknown   map[string]time.Time // kinds without a handler, logged
	pace      pace
	ended     bool      // Run is over
	answers   uint64    // calls for jobs that were answered
	seen      uint64    // of them, when last looked at,
	looked    time.Time // which was then
	stalled   time.Time // since when none was while one could be made; zero = they are
	stuck     int       // handlers that ignore their ended context, when last looked at
	unheard   error     // why the last heartbeat was not answered; nil = it was

	kick      chan struct{} // wakes a lane
	keeper    *keeper
	waker     *waker
	timer     *timer
	teller    *teller
	announcer *announcer
	recovery  chan recovery
	sweeps    chan *consumer
	outage    *loop.Limiter
}

// outageEvery is how often the log tells of an outage that goes on.
const outageEvery = 10 * time.Second

type claimKey struct {
	c  *consumer
	id uuid.UUID
}

// New makes a worker of a client's queues. Errors: queue.ErrInvalid with every fault of the Config.
func New(client *queue.Client, mux *Mux, config Config) (*Worker, error) {
	engine := client.Engine()
	if err := config.prepare(engine.Space); err != nil {
		return nil, err
	}
	w := &Worker{
		client: client, broker: engine.Broker, conn: engine.Conn, config: config, log: engine.Logger,
		instance: uuid.NewString(), aborted: make(chan struct{}),
		drained: loop.NewTrigger(), fetched: loop.NewTrigger(), zombies: make(map[claimKey]*run), unknown: make(map[string]time.Time),
		kick: make(chan struct{}, 1), recovery: make(chan recovery, 64), sweeps: make(chan *consumer, 16),
		outage: loop.NewLimiter(outageEvery),
	}
	w.rules.Store(newRouting(mux.sealed(w.codecs()), &config))
	if config.Logger != nil {
		w.log = *config.Logger
	}
	for _, q := range config.Queues {
		k, err := engine.Space.Queue(q.Name)
		if err != nil {
			return nil, err // prepare has checked the name
		}
		w.consumers = append(w.consumers, newConsumer(k, q))
	}
	w.announcer = newAnnouncer(w)
	return w, nil
}

// Run works until ctx ends, then drains: nothing more is claimed, what was fetched ahead goes back, running handlers may
// finish within Config.Drain. An operator's order to stop (queue.Client.StopWorker) ends it as ctx does. It returns nil
// after a clean drain, ErrDrainTimeout where handlers had to be cut off, and other errors when it could not start. It may
// be called once.
func (w *Worker) Run(ctx context.Context) error {
	if w.started.Swap(true) {
		return fmt.Errorf("%w Run: called twice; allowed: once a Worker", queue.ErrInvalid)
	}
	w.base = context.WithoutCancel(ctx)
	defer w.over()
	small, err := w.connect()
	if err != nil {
		return err
	}
	defer small.close()
	if err := w.join(ctx); ctx.Err() != nil {
		return nil // told to stop before it began
	} else if err != nil {
		return err
	}
	slots := w.settings().Concurrency
	processBallast.add(slots)
	defer processBallast.add(-slots)
	plumbingCtx, stopPlumbing := context.WithCancel(w.base)
	defer stopPlumbing()
	plumbing, plumbingCtx := errgroup.WithContext(plumbingCtx)
	lanes, lanesCtx := errgroup.WithContext(plumbingCtx)
	w.equip(plumbingCtx, small)
	plumbing.Go(func() error { return w.keeper.Run(plumbingCtx) })
	plumbing.Go(func() error { return (&control{w, small.messages}).Run(plumbingCtx) })
	plumbing.Go(func() error { return w.teller.Run(plumbingCtx) })
	for _, c := range w.consumers {
		plumbing.Go(func() error { return w.settle(plumbingCtx, c) })
	}
	for i := range laneCount {
		lanes.Go(func() error { return w.lane(lanesCtx, i) })
	}

	intakeCtx, stopIntake := context.WithCancel(ctx)
	defer stopIntake()
	defer context.AfterFunc(lanesCtx, stopIntake)() // dead plumbing stops intake
	intake, intakeCtx := errgroup.WithContext(intakeCtx)
	for _, service := range []func(context.Context) error{w.waker.Run, w.timer.Run, w.recover, w.sweep, w.returns} {
		intake.Go(func() error { return service(intakeCtx) })
	}
	plumbing.Go(func() error { return w.announcer.Run(plumbingCtx, stopIntake) })
	if w.config.ExitWhenEmpty {
		intake.Go(func() error { return w.awaitEmpty(intakeCtx, stopIntake) })
	}
	if w.conn.Cluster() {
		w.log.Info().Msg(blockingPlan(len(w.consumers), len(small.blocking), true))
	}
	w.log.Info().Strs("queues", w.queueNames()).Int("concurrency", w.settings().Concurrency).Str("worker", w.instance).Msg("worker started")

	<-intakeCtx.Done()
	err = w.drain(plumbingCtx, lanes, intake)
	stopPlumbing()
	// A Redis that does not answer holds up what waits for it: closing ends that, and the rest is left to its timeouts.
	small.close()
	limit, cancel := context.WithTimeout(w.base, leaveWithin)
	defer cancel()
	waitAll(limit, plumbing, lanes, intake)
	return err
}

// equip makes the services that others call.
func (w *Worker) equip(plumbing context.Context, small *lines) {
	w.keeper, w.timer, w.teller = newKeeper(w, small.heartbeat), newTimer(w), newTeller(w)
	waker := newWaker(plumbing, w, small.blocking)
	w.mu.Lock()
	w.waker = waker // from now on Health looks closer
	w.mu.Unlock()
}

// over notes that Run is.
func (w *Worker) over() {
	w.mu.Lock()
	w.ended = true
	w.mu.Unlock()
}

// leaveWithin is how long Run waits for services whose calls Redis does not answer, when all else is done.
const leaveWithin = 500 * time.Millisecond

// waitAll waits for the groups, false when ctx ends first. Their services return no errors.
func waitAll(ctx context.Context, groups ...*errgroup.Group) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, g := range groups {
			_ = g.Wait()
		}
	}()
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}

// join agrees with the namespace on the session TTL.
func (w *Worker) join(ctx context.Context) error {
	ttl, err := w.broker.AdoptTTL(ctx, w.config.SessionTTL)
	if err != nil {
		return fmt.Errorf("worker: %w", conn.Classify(err))
	}
	if w.ttl = ttl; ttl != w.config.SessionTTL {
		w.log.Warn().Dur("configured", w.config.SessionTTL).Dur("namespace", ttl).
			Msg("the session TTL of the namespace is another one and holds for all workers")
	}
	return nil
}

// Abort ends a drain now: handlers' contexts end with queue.ErrDraining, their jobs are released. Before Run's context
// has ended it does nothing but shorten the drain to come. Safe for concurrent use.
func (w *Worker) Abort() { w.abort.Do(func() { close(w.aborted) }) }

// Quiet stops (or, with false, resumes) claiming, while running handlers go on: for a deploy that will stop the process
// later. Safe for concurrent use.
func (w *Worker) Quiet(quiet bool) {
	w.mu.Lock()
	w.quiet = quiet
	if quiet {
		w.giveBackLocked(func(*run) bool { return true })
	} else {
		for _, c := range w.consumers {
			c.hint() // nobody waited for work meanwhile
		}
	}
	w.mu.Unlock()
	text := "worker takes jobs again"
	if quiet {
		text = "worker quiet"
	}
	w.log.Info().Bool("quiet", quiet).Msg(text)
	w.nudgeLane()
	w.announcer.tell()
}

func (w *Worker) queueNames() []string {
	names := make([]string, len(w.consumers))
	for i, c := range w.consumers {
		names[i] = c.name
	}
	return names
}

// serverNow is the server's time by its last answer, ms.
func (w *Worker) serverNow() int64 { return (time.Now().UnixMicro() + w.offset.Load()) / 1000 }

// sync takes the server's time from an answer that just came.
func (w *Worker) sync(nowUS int64) { w.offset.Store(nowUS - time.Now().UnixMicro()) }
