package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/internal/devserver"
	"github.com/tidemill/tidemill/internal/monitor"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

const devHelp = `Runs sample jobs, with nothing installed and nothing set up, and says how to enqueue more from
another terminal. It serves the built-in kinds too (see worker run --help).

With -c FILE it runs what the file says instead of the samples, to try a worker.yaml without
setting anything up: of the file all counts but its redis. HUP does not read it again: it ends
the command.

It uses the Redis it is told (--redis, REDIS_URL). Told of none, it starts its own on
127.0.0.1:6379, or on another port when that one is taken: a redis-server or valkey-server found
on PATH, which keeps its data in $XDG_STATE_HOME/tidemill/dev (~/.local/state/tidemill/dev), or
else an embedded server, which forgets everything at exit. Both are for trying things on this
machine: they ask for no password.

Ctrl-C ends it: running jobs finish first, its own server goes last.`

const devExamples = `  worker dev
  worker dev -c worker.yaml
  worker dev --once
  worker dev --embedded 127.0.0.1:0
  worker dev --redis redis://127.0.0.1:6379/1`

// devQueues are what it serves: the samples go to the first, second and third of them.
const devQueues = "critical=6,default=3,low=1"

// stopWithin bounds how long its own server may take to end.
const stopWithin = 10 * time.Second

// devCommand is `worker dev`.
type devCommand struct {
	runCommand
	embedded string
	once     bool
	log      zerolog.Logger
	handlers *handlers // of the file, nil without one
	planned  *plan     // of the file, nil without one
	at       place     // where it tells how it is
	monitor  *monitor.Server
}

func (c *command) newDev() *cobra.Command {
	d := &devCommand{runCommand: runCommand{command: c}}
	cmd := &cobra.Command{
		Use: "dev", Short: "Try it: sample jobs, with a Redis of its own if need be", Long: devHelp, Example: devExamples,
		Args: cobra.NoArgs, RunE: d.run,
	}
	flags, s := cmd.Flags(), &d.serving
	flags.SortFlags = false
	flags.StringVarP(&d.path, "config", "c", "", "`FILE` that says what to run instead of the samples")
	flags.BoolVar(&d.once, "once", false, "exit when the first batch is done, and print counts and rates")
	flags.StringVar(&d.embedded, "embedded", "", "use the embedded server, listening on `HOST:PORT`; port 0 is any free one")
	flags.Var(&s.queues, "queues", "queues to serve, with their weights (default "+devQueues+")")
	flags.IntVar(&s.concurrency, "concurrency", 10, "handlers running at once, at most `n`")
	s.drain, s.sessionTTL = worker.DefaultDrain, worker.DefaultSessionTTL
	s.addListen(flags)
	d.logging.addFlags(cmd)
	_ = cmd.RegisterFlagCompletionFunc("queues", cli.EachOfList(c.completeQueues))
	_ = cmd.MarkFlagFilename("config", "yaml", "yml")
	return cmd
}

func (d *devCommand) run(cmd *cobra.Command, _ []string) (err error) {
	launcher := &launcher{}
	defer launcher.close()
	config, err := d.prepare(cmd, launcher)
	if err != nil {
		return err
	}
	// A terminal that is closed ends it at once, instead of leaving its server alone.
	top, stopHangup := hangup(cmd.Context())
	defer stopHangup()
	soft, hard, stop := cli.Interruptible(top)
	defer stop()
	if d.monitor, err = d.at.open(d.log); err != nil {
		return err
	}
	defer d.monitor.Close()
	server, err := d.server(soft)
	if err != nil {
		return d.interrupted(soft, err)
	}
	url, _ := d.connection.URL()
	if server != nil {
		url = server.URL()
		defer func() { err = errors.Join(err, d.stop(server)) }()
	}
	client, err := d.connect(soft, server, url)
	if err != nil {
		return d.interrupted(soft, err)
	}
	defer func() { _ = client.Close() }()
	b := banner{url: url, server: server, namespace: d.connection.Namespace(), queues: queuesValue{list: config.Queues}}
	if d.handlers != nil {
		b.kinds = d.handlers.mux.Kinds()
	}
	if err := b.print(cmd.OutOrStdout()); err != nil {
		return err
	}
	return ended(hard, d.serve(cmd, soft, hard, client, config, server))
}

// prepare decides what to run: what the file says, or the samples.
func (d *devCommand) prepare(cmd *cobra.Command, launcher *launcher) (config worker.Config, err error) {
	if !cmd.Flags().Changed("config") {
		if len(d.serving.queues.list) == 0 {
			err = d.serving.queues.Set(devQueues)
		}
		if err == nil {
			config, err = d.serving.config()
		}
		if err == nil {
			err = d.checkEmbedded(cmd)
		}
		if err == nil {
			d.at, err = d.serving.place(cmd, nil)
		}
		if err == nil {
			d.log, err = d.logging.logger(cmd, cmd.ErrOrStderr())
		}
		return config, err
	}
	if d.once {
		return config, cli.Usagef("--once is for the samples, which --config takes the place of")
	}
	file, err := d.load(cmd)
	if err != nil {
		return config, err
	}
	file.Redis.URL = ""
	p, err := d.plan(cmd, file)
	if err == nil {
		err = d.checkEmbedded(cmd)
	}
	if err == nil {
		d.log, err = d.logging.logger(cmd, cmd.ErrOrStderr())
	}
	if err == nil {
		launcher.log, d.at = d.log, p.listen
		d.handlers, err = build(file, launcher, nil)
		d.planned = p
	}
	if err != nil {
		return config, err
	}
	return p.config, nil
}

// server starts a server of its own, or answers nil when told of one.
func (d *devCommand) server(ctx context.Context) (*devserver.Server, error) {
	if d.embedded != "" {
		return devserver.StartEmbedded(d.embedded)
	}
	if err := d.connection.Check(); err != nil {
		return nil, err
	}
	if _, from := d.connection.URL(); from != cli.FromDefault {
		return nil, nil
	}
	return devserver.Start(ctx, devserver.StateFolder)
}

// connect opens the queue on its own server, or on the one it was told of.
func (d *devCommand) connect(ctx context.Context, server *devserver.Server, url string) (*queue.Client, error) {
	config := queue.Config{Logger: d.log}
	if server == nil {
		return d.open(ctx, config)
	}
	config.Namespace = d.connection.Namespace()
	return queue.Open(ctx, url, config)
}

// stop ends its own server, which is the last thing to happen.
func (d *devCommand) stop(server *devserver.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	err := server.Stop(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("stopping its own Redis: %w", err)
	case server.Embedded():
		d.log.Warn().Msg("the embedded server ended, and with it every job that was left")
	default:
		d.log.Info().Str("data", server.Dir).Msg("its own Redis ended; the data is kept")
	}
	return nil
}

// interrupted makes an error that a signal caused during the start a clean end.
func (d *devCommand) interrupted(soft context.Context, err error) error {
	var signal *cli.SignalError
	if errors.As(context.Cause(soft), &signal) && !d.once {
		return nil
	}
	return err
}

// errServerEnded is why work ends when its own server did.
var errServerEnded = errors.New("its own Redis ended unasked")

// serve enqueues the first batch and works until soft ends, or with --once until the batch is done.
func (d *devCommand) serve(cmd *cobra.Command, soft, hard context.Context, client *queue.Client, config worker.Config, server *devserver.Server) error {
	ctx, end := context.WithCancelCause(soft)
	defer end(nil)
	if d.handlers != nil {
		w, err := worker.New(client, d.handlers.mux, config)
		if err != nil {
			return d.explain(err)
		}
		if err := d.monitor.Watch(client, w); err != nil {
			return err
		}
		bridges := d.planned.subscribed(client, d.monitor, d.log)
		defer bridges.Close()
		defer context.AfterFunc(ctx, bridges.Stop)()
		d.monitor.Beside(bridges.Faults)
		watchServer(ctx, server, w, end)
		return d.outcome(ctx, nil, server, serve(ctx, hard, w))
	}
	batch := newBatch(d.serving.queues.list)
	mux := worker.NewMux()
	addBuiltins(mux)
	addSamples(mux)
	mux.Use(batch.watch)
	w, err := worker.New(client, mux, config)
	if err != nil {
		return d.explain(err)
	}
	if err := d.monitor.Watch(client, w); err != nil {
		return err
	}
	if err := batch.enqueue(ctx, client); err != nil {
		return d.explain(err)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "enqueued %d sample jobs\n", batch.size())
	watchServer(ctx, server, w, end)
	go batch.follow(ctx, client, func() {
		fmt.Fprintln(cmd.OutOrStdout(), batch.summary())
		if d.once {
			end(errBatchDone)
		} else {
			fmt.Fprintln(cmd.OutOrStdout(), "waiting for more jobs; Ctrl-C ends")
		}
	})
	err = serve(ctx, hard, w)
	return d.outcome(ctx, batch, server, err)
}

// watchServer ends the work when its own server ends.
func watchServer(ctx context.Context, server *devserver.Server, w *worker.Worker, end context.CancelCauseFunc) {
	if server == nil {
		return
	}
	go func() {
		select {
		case <-server.Done():
			end(errServerEnded)
			w.Abort() // nobody is left to tell what the jobs come to
		case <-ctx.Done():
		}
	}()
}

// outcome says what a run came to.
func (d *devCommand) outcome(ctx context.Context, batch *batch, server *devserver.Server, err error) error {
	cause := context.Cause(ctx)
	var signal *cli.SignalError
	switch {
	case errors.Is(cause, errServerEnded):
		return fmt.Errorf("%w; its log ends:\n%s", errServerEnded, server.LogTail())
	case err != nil:
		return d.explain(err)
	case d.once && errors.As(cause, &signal):
		return signal // the batch is not done, whatever the drain came to
	case d.once && batch.failed() > 0:
		return fmt.Errorf("%d jobs of the batch are dead", batch.failed())
	}
	return nil
}
