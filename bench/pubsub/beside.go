package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"

	"github.com/tidemill/tidemill/bench/internal/rig"
)

// topic is the one topic there is.
const topic = "bench.prices"

// progressFD is the file on which a subscriber says how far it is: a number on a line of its own, 0 once it is subscribed,
// then the messages it has handled. The publisher reads it as its stdin.
const progressFD = 3

// progress is the subscriber's end.
type progress struct{ w io.Writer }

func openProgress() progress { return progress{os.NewFile(progressFD, "progress")} }

func (p progress) at(n int) error {
	_, err := p.w.Write(strconv.AppendInt(nil, int64(n), 10))
	if err == nil {
		_, err = io.WriteString(p.w, "\n")
	}
	return err
}

// beside runs a subscriber and the publisher that follows its progress, each in a process of its own.
func beside(ctx context.Context, subscriber func(context.Context) (*exec.Cmd, error), spec publishSpec) ([]rig.Metric, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	sub, err := subscriber(ctx)
	if err != nil {
		return nil, err
	}
	pub, err := rig.Command(ctx, "publish", spec)
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	sub.ExtraFiles, pub.Stdin = []*os.File{w}, r // the first is number progressFD
	listening, err := rig.Start(sub)
	if err != nil {
		return nil, errors.Join(err, r.Close(), w.Close())
	}
	publishing, err := rig.Start(pub)
	if err := errors.Join(err, r.Close(), w.Close()); err != nil {
		cancel(err)
		_, _ = listening.Finish(ctx)
		return nil, err
	}
	type outcome struct {
		metrics []rig.Metric
		err     error
	}
	published := make(chan outcome, 1)
	go func() {
		metrics, err := publishing.Finish(ctx)
		if err != nil {
			cancel(fmt.Errorf("publisher: %w", err)) // the subscriber would wait for ever
		}
		published <- outcome{metrics, err}
	}()
	metrics, err := listening.Finish(ctx)
	if err != nil {
		cancel(err)
	}
	p := <-published
	if err = cmp.Or(err, p.err); err != nil {
		return nil, err
	}
	return append(metrics, p.metrics...), nil
}
