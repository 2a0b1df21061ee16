package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

const runHelp = `Serves queues with the built-in handlers:

  log     writes its args to the log
  noop    does nothing
  sleep   takes its time: {"duration":"5ms"}, 1s unless given
  fail    fails a few times, then succeeds: {"times":2,"error":"out of luck"}, once unless given

Args that a handler does not know are ignored. Without --queues it serves "default". By weight
every queue gets its share; with --strict a queue is served only when those before it have
nothing left, and a busy one starves the rest.

Signals: INT (Ctrl-C) and TERM drain: nothing more is taken, running jobs may finish within
--drain, then go back to their queue. A second one gives them back at once. TSTP takes nothing
more but stays. TTIN prints all goroutines.`

const runExamples = `  worker run
  worker run --queues critical=6,default=3 --concurrency 50
  worker run --queues urgent,bulk --strict --exit-when-empty
  REDIS_URL=rediss://user:secret@redis.example.com:6380/0 worker run --drain 1m`

// serving is the flags of a worker.
type serving struct {
	queues        queuesValue
	strict        bool
	concurrency   int
	drain         time.Duration
	sessionTTL    time.Duration
	exitWhenEmpty bool
}

// runCommand is `worker run`.
type runCommand struct {
	*command
	serving serving
	logging logging
}

func (c *command) newRun() *cobra.Command {
	r := &runCommand{command: c}
	cmd := &cobra.Command{
		Use: "run", Short: "Serve queues with the built-in handlers", Long: runHelp, Example: runExamples,
		Args: cobra.NoArgs, RunE: r.run,
	}
	flags, s := cmd.Flags(), &r.serving
	flags.SortFlags = false
	flags.Var(&s.queues, "queues", "queues to serve, with their weights (default default=1)")
	flags.BoolVar(&s.strict, "strict", false, "serve the queues in their order instead of by weight")
	flags.IntVar(&s.concurrency, "concurrency", worker.DefaultConcurrency, "handlers running at once, at most `n`")
	flags.BoolVar(&s.exitWhenEmpty, "exit-when-empty", false, "exit once nothing is ready, scheduled or running, here or elsewhere")
	flags.DurationVar(&s.drain, "drain", worker.DefaultDrain, "how long running jobs may go on after the first signal")
	flags.DurationVar(&s.sessionTTL, "session-ttl", worker.DefaultSessionTTL, "how long this worker may be out of touch before others take its jobs")
	r.logging.addFlags(cmd)
	_ = cmd.RegisterFlagCompletionFunc("queues", c.completeQueues)
	return cmd
}

// config checks the flags and makes them settings. Zeros would mean the library's defaults.
func (s *serving) config() (worker.Config, error) {
	var faults []error
	if s.concurrency < 1 || s.concurrency > 1_000_000 {
		faults = append(faults, cli.Usagef("--concurrency %d: allowed: 1 to 1000000", s.concurrency))
	}
	if s.drain < 0 {
		faults = append(faults, cli.Usagef("--drain %v: allowed: 0 (give running jobs back at once) or more", s.drain))
	}
	if s.sessionTTL < 2*time.Second || s.sessionTTL > time.Hour {
		faults = append(faults, cli.Usagef("--session-ttl %v: allowed: 2s to 1h", s.sessionTTL))
	}
	return worker.Config{Queues: s.queues.list, Strict: s.strict, Concurrency: s.concurrency, Drain: max(s.drain, 1),
		SessionTTL: s.sessionTTL, ExitWhenEmpty: s.exitWhenEmpty}, errors.Join(faults...)
}

func (r *runCommand) run(cmd *cobra.Command, _ []string) error {
	config, err := r.serving.config()
	if err != nil {
		return err
	}
	log, err := r.logging.logger(cmd, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	soft, hard, stop := cli.Interruptible(cmd.Context())
	defer stop()
	client, err := r.open(soft, queue.Config{Logger: log})
	if err != nil {
		var signal *cli.SignalError
		if errors.As(err, &signal) && hard.Err() == nil {
			log.Info().Msg("stopped before it had started")
			return nil
		}
		return err
	}
	// What was answered was answered: an error of closing changes nothing.
	defer func() { _ = client.Close() }()
	mux := worker.NewMux()
	addBuiltins(mux)
	w, err := worker.New(client, mux, config)
	if err != nil {
		return r.explain(err)
	}
	defer watchSignals(w)()
	return ended(hard, r.explain(serve(soft, hard, w)))
}

// serve runs a worker until soft ends, and cuts its drain short when hard does. A worker that was stopped while it
// started has done nothing, so that is a clean end.
func serve(soft, hard context.Context, w *worker.Worker) error {
	defer context.AfterFunc(hard, w.Abort)()
	err := w.Run(soft)
	if soft.Err() != nil && errors.Is(err, context.Canceled) && !errors.Is(err, worker.ErrDrainTimeout) {
		return nil
	}
	return err
}
