package main

import (
	"errors"
	"fmt"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/pubsub"
)

// report prints what became of the lines, and makes an exit code of it.
func (b *broadcast) report(err error) error {
	c := b.tally.read()
	b.progress.end()
	var abandoned *abandonedError
	if !errors.As(err, &abandoned) { // else they may still be added to
		b.rejects.end()
	}
	b.say("published %d, rejected %d\n", c.Enqueued, c.Rejected)
	switch {
	case err != nil:
		return b.explain(c, err)
	case c.Rejected > 0:
		return &cli.Exit{Code: cli.CodeFailure}
	}
	return nil
}

// explain says why a stream ended early, and at which line it is to be taken up.
func (b *broadcast) explain(c counts, err error) error {
	var (
		unsent *unsentError
		signal *cli.SignalError
	)
	next := fmt.Sprintf("the next line is %d", c.line)
	code := cli.CodeFailure
	switch {
	case errors.As(err, &signal):
		code = signal.Code()
		if err = fmt.Errorf("%w; %s", signal, next); c.flightTo >= c.line {
			err = fmt.Errorf("%w with lines %d to %d under way, which may be published or not", signal, c.line, c.flightTo)
		}
	case errors.As(err, &unsent):
		why := b.publish.hint(unsent).Error()
		if errors.Is(err, pubsub.ErrFull) {
			why = "redis full"
		} else if errors.Is(err, pubsub.ErrUnavailable) || errors.Is(err, pubsub.ErrOutcomeUnknown) {
			code, why = codeUnreachable, b.lost(unsent)
		}
		if err = fmt.Errorf("%s; %s", why, next); unsent.unsureTo > 0 {
			err = fmt.Errorf("%s; lines %d to %d may be published or not", why, unsent.first, unsent.unsureTo)
		}
	default:
		err = fmt.Errorf("%w; %s", err, next)
	}
	return &cli.Exit{Code: code, Err: err}
}

// lost says that Redis is gone.
func (b *broadcast) lost(err error) string {
	if word, silent := cli.Silence(err); silent {
		url, _ := b.publish.connection.URL()
		return fmt.Sprintf("Redis is lost: nothing answers at %s (%s)", cli.Address(url), word)
	}
	return "Redis is lost: " + err.Error()
}
