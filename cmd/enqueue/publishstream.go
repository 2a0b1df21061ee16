package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/pubsub"
)

// messagePause is how long the input of messages may pause before what was read is sent: they are news.
const messagePause = 2 * time.Millisecond

// publishStream is `enqueue publish TOPIC -`.
func (p *publish) publishStream(cmd *cobra.Command, topic string) error {
	soft, hard, stop := cli.Interruptible(cmd.Context())
	defer stop()
	client, send, err := p.open(soft, cmd, topic)
	if err != nil {
		return err
	}
	// What was answered was answered: an error of closing changes nothing.
	defer func() { _ = client.Close() }()
	// Last, so that nothing is overwritten when there is no Redis.
	file, err := p.openRejects(cmd)
	if err != nil {
		return err
	}
	b := p.newBroadcast(cmd, send, file)
	b.ctx = hard
	err = pump(soft, hard, newStream(newSource(cmd.InOrStdin()), p.parse, messagePause), b.run, b.say)
	if file != nil {
		if fault := file.Close(); fault != nil && err == nil {
			err = &rejectsError{err: fault}
		}
	}
	return b.report(err)
}

// openRejects opens --rejects; nil where none was asked for.
func (p *publish) openRejects(cmd *cobra.Command) (io.WriteCloser, error) {
	if p.rejects == "" {
		return nil, nil
	}
	if in, ok := cmd.InOrStdin().(*os.File); ok && sameFile(in, p.rejects) {
		return nil, cli.Usagef("--rejects %s would overwrite the input", p.rejects)
	}
	f, err := os.Create(p.rejects)
	if err != nil {
		return nil, cli.Usagef("--rejects: %w", err)
	}
	return f, nil
}

// parse makes a message of a line: it is sent as it stands, without the space around it.
func (p *publish) parse(text []byte) (pubsub.Raw, error) {
	text = bytes.TrimSpace(text)
	if len(text) > p.maxMessage {
		return nil, fmt.Errorf("%d bytes; allowed: up to %d (--max-message)", len(text), p.maxMessage)
	}
	return text, checkJSON(text)
}

// broadcast publishes batches and settles their lines, in order.
type broadcast struct {
	publish  *publish
	ctx      context.Context // ends with the second signal
	send     publisher
	rejects  *rejects
	progress *progress
	people   io.Writer     // nil when quiet
	ids      *bufio.Writer // nil unless --json
	tally    *tally
}

func (p *publish) newBroadcast(cmd *cobra.Command, send publisher, file io.Writer) *broadcast {
	b := &broadcast{publish: p, send: send, tally: &tally{}}
	b.tally.line = 1
	if !p.quiet {
		b.people = cmd.ErrOrStderr()
		if cli.IsTerminal(cmd.ErrOrStderr()) {
			b.progress = newProgress(cmd.ErrOrStderr(), -1)
		}
	}
	if p.json {
		b.ids = bufio.NewWriter(cmd.OutOrStdout())
	}
	b.rejects = newRejects(file, b.people, b.progress.clear)
	return b
}

func (b *broadcast) say(format string, args ...any) {
	if b.people != nil {
		b.progress.clear()
		_, _ = fmt.Fprintf(b.people, format, args...)
	}
}

// run sends batches until there are no more, and gives them back empty. Its error ends the stream.
func (b *broadcast) run(batches <-chan *batch[pubsub.Raw], free chan<- *batch[pubsub.Raw]) error {
	for one := range batches {
		b.tally.update(func(c *counts) { c.flightTo = one.last })
		var ids []uuid.UUID
		var err error
		if len(one.items) > 0 {
			ids, err = b.send(b.ctx, one.items)
		}
		if err := errors.Join(b.settle(one, ids, err), b.flush()); err != nil {
			return err
		}
		b.progress.add(one.size, b.tally.read().lines())
		one.reset()
		free <- one
	}
	return nil
}

// settle books the lines of a batch. Its error is an *unsentError where Redis has not taken all, and the stream is to be
// taken up at the first such line.
func (b *broadcast) settle(one *batch[pubsub.Raw], ids []uuid.UUID, err error) error {
	taken, unsure := len(one.items), 0
	if err != nil {
		taken, unsure = reached(ids, err)
	}
	for i, e := range one.entries {
		if e.item >= taken {
			return b.cutShort(one.entries[i:], taken+unsure, err)
		}
		b.book(one, e, ids)
	}
	b.tally.update(func(c *counts) { c.place, c.flightTo = place{line: one.last + 1}, 0 })
	return err
}

// book counts a line that was rejected or whose message is published.
func (b *broadcast) book(one *batch[pubsub.Raw], e entry, ids []uuid.UUID) {
	switch {
	case e.item < 0:
		b.rejects.add(e.number, e.reason, one.text[e.start:e.end])
	case b.ids != nil:
		line, _ := json.Marshal(published{Line: e.number, ID: ids[e.item].String()})
		_, _ = b.ids.Write(append(line, '\n')) // the writer remembers its error
	}
	b.tally.update(func(c *counts) {
		c.place = place{line: e.number + 1}
		if e.item < 0 {
			c.Rejected++
		} else {
			c.Enqueued++
		}
	})
}

// cutShort is why a stream ends at a line; messages before unsureEnd may be published all the same.
func (b *broadcast) cutShort(left []entry, unsureEnd int, err error) error {
	b.tally.update(func(c *counts) { c.place, c.flightTo = place{line: left[0].number}, 0 })
	unsent := &unsentError{err: err, first: left[0].number}
	for _, e := range left {
		if e.item >= 0 && e.item < unsureEnd {
			unsent.unsureTo = e.number
		}
	}
	return unsent
}

// reached is how far a batch came that failed: so many are surely taken, so many behind them may be. Replies come in order,
// so that what is unknown stands behind what is known.
func reached(ids []uuid.UUID, err error) (taken, unsure int) {
	var batch *pubsub.BatchError
	if errors.As(err, &batch) {
		unsure = batch.Unknown
	}
	for taken < len(ids) && ids[taken] != uuid.Nil {
		taken++
	}
	return max(taken-unsure, 0), unsure
}

// flush writes what is to be written of a batch.
func (b *broadcast) flush() error {
	err := b.rejects.flush()
	if b.ids != nil {
		err = errors.Join(err, b.ids.Flush())
	}
	return err
}

// unsentError ends a stream because Redis has not taken a line: the first one, which may be in all the same, with those
// behind it up to unsureTo.
type unsentError struct {
	err             error
	first, unsureTo int
}

func (e *unsentError) Error() string { return plain(e.err).Error() }
func (e *unsentError) Unwrap() error { return e.err }
