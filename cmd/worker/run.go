package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/internal/monitor"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

const runHelp = `Serves queues. With -c FILE (or TIDEMILL_CONFIG) the file says what runs the jobs: a command, a
POST to a URL, or a built-in handler, by kind; see docs/worker-yaml.md. "worker check -c FILE"
says what it would run. Flags win over the environment, that over the file, that over defaults.

Without a file it runs the built-in handlers:

  log     writes its args to the log
  noop    does nothing
  sleep   takes its time: {"duration":"5ms"}, 1s unless given
  fail    fails a few times, then succeeds: {"times":2,"error":"out of luck"}, once unless given

Args that a built-in handler does not know are ignored. Without --queues, and a file that names
some, it serves "default". By weight every queue gets its share; with --strict a queue is served
only when those before it have nothing left, and a busy one starves the rest.

With --listen it tells over HTTP whether it works: /livez, /readyz (503 with the reasons while it
takes no jobs) and /metrics for Prometheus; docs/monitoring.md has all of them. It starts before
Redis is asked for anything and ends last. Nothing there asks for a password: an address that others
can reach is for you to guard. "worker health" asks it, for images without curl.

Signals: INT (Ctrl-C) and TERM drain: nothing more is taken, running jobs may finish within
--drain, then go back to their queue. A second one gives them back at once. TSTP takes nothing
more but stays. TTIN prints all goroutines. HUP reads the file again: what can change while it
runs does (handlers, retries, concurrency, weights, subscriptions, drain, log level), and the log says what
cannot; a file with a fault changes nothing.`

const runExamples = `  worker run -c worker.yaml
  worker run --queues critical=6,default=3 --concurrency 50
  worker run -c worker.yaml --listen 127.0.0.1:9090
  worker run --queues urgent,bulk --strict --exit-when-empty
  REDIS_URL=rediss://user:secret@redis.example.com:6380/0 worker run -c worker.yaml --drain 1m`

// serving is the flags of a worker.
type serving struct {
	queues        queuesValue
	strict        bool
	concurrency   int
	drain         time.Duration
	sessionTTL    time.Duration
	exitWhenEmpty bool
	listen        string
}

// runCommand is `worker run`, and `worker check`, which tells what run would do.
type runCommand struct {
	*command
	path    string // of the file
	serving serving
	logging logging
}

func (c *command) newRun() *cobra.Command {
	r := &runCommand{command: c}
	cmd := &cobra.Command{
		Use: "run", Short: "Serve queues: run the jobs as worker.yaml says, or with the built-in handlers", Long: runHelp, Example: runExamples,
		Args: cobra.NoArgs, RunE: r.run,
	}
	r.addFlags(cmd)
	cmd.Flags().BoolVar(&r.serving.exitWhenEmpty, "exit-when-empty", false, "exit once nothing is ready, scheduled or running, here or elsewhere")
	return cmd
}

// addFlags adds what run and check share.
func (r *runCommand) addFlags(cmd *cobra.Command) {
	flags, s := cmd.Flags(), &r.serving
	flags.SortFlags = false
	flags.StringVarP(&r.path, "config", "c", "", "`FILE` that says what to run, worker.yaml for instance (env "+envConfig+")")
	flags.Var(&s.queues, "queues", "queues to serve, with their weights (default default=1)")
	flags.BoolVar(&s.strict, "strict", false, "serve the queues in their order instead of by weight")
	flags.IntVar(&s.concurrency, "concurrency", worker.DefaultConcurrency, "handlers running at once, at most `n`")
	flags.DurationVar(&s.drain, "drain", worker.DefaultDrain, "how long running jobs may go on after the first signal")
	flags.DurationVar(&s.sessionTTL, "session-ttl", worker.DefaultSessionTTL, "how long this worker may be out of touch before others take its jobs")
	s.addListen(flags)
	r.logging.addFlags(cmd)
	_ = cmd.RegisterFlagCompletionFunc("queues", cli.EachOfList(r.completeQueues))
	_ = cmd.MarkFlagFilename("config", "yaml", "yml")
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
	file, err := r.load(cmd)
	if err != nil {
		return err
	}
	p, err := r.plan(cmd, file)
	if err != nil {
		return err
	}
	log, err := r.logging.logger(cmd, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	if file == nil {
		overlooked(log)
	}
	launcher := &launcher{log: log}
	defer launcher.close()
	handlers, err := build(file, launcher, nil)
	if err != nil {
		return err
	}
	var reloads *hangups
	if file != nil { // else HUP ends the worker, as it does other programs
		reloads = catchHangups()
		defer reloads.stop()
	}
	soft, hard, stop := cli.Interruptible(cmd.Context())
	defer stop()
	server, err := p.listen.open(log)
	if err != nil {
		return err
	}
	defer server.Close()
	p.client.Logger = log
	client, err := r.open(soft, p.client)
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
	again := &reloader{run: r, flags: cmd, log: log, plan: p, handlers: handlers, launcher: launcher}
	return ended(hard, r.explain(again.work(soft, hard, client, server, reloads)))
}

// work runs the worker and, where a file says what it does, what is beside it, until soft ends.
func (r *reloader) work(soft, hard context.Context, client *queue.Client, server *monitor.Server, reloads *hangups) error {
	w, err := worker.New(client, r.handlers.mux, r.plan.config)
	if err != nil {
		return err
	}
	if err := server.Watch(client, w); err != nil {
		return err
	}
	defer watchSignals(w)()
	if file := r.plan.file; file != nil {
		r.worker, r.bridges = w, r.plan.subscribed(client, server, r.log)
		defer r.bridges.Close()
		defer context.AfterFunc(soft, r.bridges.Stop)()
		server.Beside(r.bridges.Faults)
		r.log.Info().Str("file", file.Name).Strs("handlers", r.handlers.mux.Kinds()).Msg("runs what the file says")
		reloads.each(r.reload)
	}
	return serve(soft, hard, w)
}

// overlooked tells of a file that whoever started the worker may think it uses.
func overlooked(log zerolog.Logger) {
	const name = "worker.yaml"
	if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
		log.Warn().Str("file", name).Msg("this file is not used, the built-in handlers are; to use it: worker run -c " + name)
	}
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
