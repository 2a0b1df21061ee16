package execjob

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/internal/supervise"
	"github.com/tidemill/tidemill/queue"
)

// killSoon is the time between TERM and KILL while the worker stops, or once the job may run elsewhere.
const killSoon = 1500 * time.Millisecond

// handler runs one command for each job.
type handler struct {
	sup                *supervise.Supervisor
	command            supervise.Command // without its streams and what the job adds to Env
	timeout, killAfter time.Duration
	losses             losses
}

// handle runs the command for one attempt and returns when it and all it started are gone.
func (h *handler) handle(ctx context.Context, job *queue.Job[queue.Raw]) error {
	if h.timeout > 0 {
		limited, cancel := context.WithTimeoutCause(ctx, h.timeout, fmt.Errorf("%w after %v", queue.ErrTimeout, h.timeout))
		defer cancel()
		ctx = limited
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	log := zerolog.Ctx(ctx)
	out, lines := newOutput(), newLines(log)
	streams, err := openStreams(out, lines)
	if err != nil {
		return fmt.Errorf("exec: %w", err)
	}
	command := h.command
	command.Env = h.environment(ctx, &job.Info)
	command.Stdin, command.Stdout, command.Stderr = streams.theirs()
	payload := streams.prefill(job.Args.Payload)
	p, err := h.sup.Start(command)
	streams.handOver()
	if err != nil {
		streams.close()
		return notStarted(err)
	}
	streams.feed(payload)
	stopped := h.await(ctx, p, streams.serve)
	streams.finish()
	lines.finish()

	exit := p.Exit()
	if exit.Left > 0 {
		log.Error().Int("processes", exit.Left).Msg("the command left processes of another user behind, which cannot be killed")
	}
	if errors.Is(exit.Err, supervise.ErrLost) && h.losses.count(job.ID) > freeLosses {
		return fmt.Errorf("exec: %w", exit.Err)
	}
	if exit.Err != nil {
		return notStarted(exit.Err)
	}
	h.losses.forget(job.ID)
	log.Debug().Int("status", exit.Code).Dur("cpu", exit.CPU).Msg("command ended")
	result, total := out.result()
	if err := verdict(exit, stopped, lines.last()); err != nil {
		return queue.WithOutput(err, lines.tail())
	}
	if total > len(result) {
		log.Warn().Int("bytes", total).Int("kept", len(result)).Msg("the command's stdout is longer than a result may be; the rest was dropped")
	}
	if total == 0 {
		return nil // it leaves no result, rather than an empty one
	}
	return job.SetResult(result)
}

// await waits for a command's end; once ctx is over it sees to it, and answers why. serve is called when the command goes
// on for long enough.
func (h *handler) await(ctx context.Context, p *supervise.Process, serve func()) (stopped error) {
	if patience == 0 {
		serve()
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.Done():
		return nil
	case <-timer.C:
		serve()
	}
	select {
	case <-p.Done():
		return nil
	case <-ctx.Done():
	}
	stopped = context.Cause(ctx)
	grace := h.killAfter
	if !errors.Is(stopped, queue.ErrTimeout) && !errors.Is(stopped, queue.ErrCancelled) {
		grace = min(grace, killSoon)
	}
	p.Terminate()
	timer.Reset(grace)
	select {
	case <-p.Done():
	case <-timer.C:
		p.Kill()
		<-p.Done()
	}
	return stopped
}

// environment is one attempt's.
func (h *handler) environment(ctx context.Context, info *queue.Info) []string {
	env := append(make([]string, 0, len(h.command.Env)+7), h.command.Env...)
	env = append(env, "TIDEMILL_JOB_ID="+info.ID.String(), "TIDEMILL_KIND="+info.Kind, "TIDEMILL_QUEUE="+info.Queue,
		"TIDEMILL_ATTEMPT="+strconv.Itoa(info.Attempt))
	if deadline, ok := ctx.Deadline(); ok {
		env = append(env, "TIDEMILL_DEADLINE="+deadline.UTC().Format("2006-01-02T15:04:05.000Z07:00"))
	}
	if info.Key != "" {
		env = append(env, "TIDEMILL_JOB_KEY="+info.Key)
	}
	return env
}

// notStarted is the verdict for a command that did not start, or that lost its supervisor for the first time: that is not
// the job's fault, as far as is known, and costs it no attempt.
func notStarted(err error) error {
	if errors.Is(err, supervise.ErrLost) || errors.Is(err, supervise.ErrClosed) {
		return queue.Snooze(time.Second)
	}
	return fmt.Errorf("exec: %w", err)
}
