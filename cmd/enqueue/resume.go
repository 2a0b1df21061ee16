package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/queue"
)

// takeUp makes a run begin where the runs before it ended. Redis is asked for each queue how far it is: after a kill that
// is further than the offset file says.
func (r *run) takeUp(ctx context.Context, client *queue.Client, o *offsets, rejects io.Writer) error {
	at, err := o.start()
	if err != nil {
		return err
	}
	if o.record.Run > queue.MaxInputRun {
		return cli.Usagef("--offset-file %s was taken up %d times; remove it, and go on with --from-line %d", o.path, o.record.Run-1, at.line)
	}
	o.record.Rejects, o.rejects = "", nil
	if file, ok := rejects.(*os.File); ok {
		o.record.Rejects, o.rejects = r.command.rejects, file
	}
	for line := range r.passed {
		o.passing = max(o.passing, line)
	}
	// Before anything is sent under the run's number: the next one must have a higher one.
	if err := o.end(counts{place: at}, nil, underWay); err != nil {
		return err
	}
	input, back, err := o.open(ctx, client)
	if err != nil {
		return errors.Join(err, o.undo())
	}
	if back != nil {
		from := "its start"
		if back.line > 1 {
			from = fmt.Sprintf("line %d on", back.line)
		}
		r.say("redis has lost lines that it had taken: %s is read again from %s, and what is in is passed by\n", o.in.name, from)
		at = *back
	}
	if _, err := o.in.file.Seek(at.offset, io.SeekStart); err != nil {
		return err
	}
	r.sender.client, r.sender.places, r.sender.offsets = input, input.Places, o
	r.from, r.first, r.sender.tally.place = at, o.record.FirstLine, at
	r.sender.progress.begin(at.offset)
	return nil
}

// open begins the run in all queues that runs before it used, and holds what they say against what the file says. Back is
// where to begin again, as one of them has less than it had.
func (o *offsets) open(ctx context.Context, client *queue.Client) (input *queue.Input, back *place, err error) {
	input, err = client.Input(o.record.Input, o.record.Run, o.uses)
	if err != nil {
		return nil, nil, err
	}
	for name, had := range o.before.Queues {
		line, known, err := input.Resume(ctx, name)
		switch {
		case err != nil:
			return nil, nil, err
		case !known && o.before.State == underWay:
			return nil, nil, &goneError{path: o.path, queue: name, line: o.before.Line, at: o.before.At.Local().Format("2006-01-02 15:04:05")}
		case !known: // all was known when the run before ended
		case line < had:
			first, err := o.rewind()
			if err != nil {
				return nil, nil, err
			}
			back = &first
			fallthrough
		default:
			if err := o.uses(name, line); err != nil {
				return nil, nil, err
			}
		}
	}
	return input, back, nil
}

// notBegun is why a stream could not be taken up.
func (c *command) notBegun(err error) error {
	switch {
	case errors.As(err, new(*cli.SignalError)):
		return err
	case errors.Is(err, queue.ErrUnavailable), errors.Is(err, queue.ErrOutcomeUnknown):
		url, from := c.connection.URL()
		return exitOf(&cli.Unreachable{Addr: cli.Address(url), From: from, Err: err})
	case errors.Is(err, queue.ErrRedisFull):
		return errors.New("redis full: nothing was enqueued")
	case errors.Is(err, queue.ErrConflict):
		return errors.New("another enqueue has taken this input up")
	}
	return err
}

// keep writes down how a stream ended.
func (r *run) keep(err error) error {
	o := r.sender.offsets
	var abandoned *abandonedError
	if o == nil || errors.As(err, &abandoned) { // the sender may still be at it
		return err
	}
	c, state := r.sender.tally.read(), stopped
	switch {
	case c.unsure+c.beyond > 0: // the queues know
		state = underWay
	case err == nil:
		state = finished
	}
	if fault := o.end(c, r.sender.known(), state); err == nil {
		return fault
	}
	return err
}

// inAll says what all runs together came to, where this one was not the first.
func (r *run) inAll() string {
	o := r.sender.offsets
	if o == nil || !o.resumed {
		return ""
	}
	enqueued, duplicates, rejected := o.totals()
	return fmt.Sprintf("; in all enqueued %d, duplicates %d, rejected %d", enqueued, duplicates, rejected)
}

// goneError says that an interrupted run cannot be taken up exactly.
type goneError struct {
	path, queue string
	line        int
	at          string
}

func (e *goneError) Error() string {
	return fmt.Sprintf("queue %q knows nothing of this input any more (it is kept 7 days; or this is another Redis, or an emptied one): which lines from %d on are in "+
		"cannot be told since the run of %s was cut off; to go on all the same, remove %s and give --from-line %d", e.queue, e.line, e.at, e.path, e.line)
}

// rejectedBefore reads, from the end of the rejects file, which lines were rejected since the offset file was written: they
// are done with. A last line that is not complete is taken away.
func (o *offsets) rejectedBefore(path string) (map[int]bool, error) {
	if o == nil || !o.resumed || path == "" || path == "-" || path != o.before.Rejects {
		return nil, nil
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	size, err := sizeOf(f)
	if err != nil || size <= o.before.RejectsEnd {
		return nil, err
	}
	text, err := io.ReadAll(io.NewSectionReader(f, o.before.RejectsEnd, size-o.before.RejectsEnd))
	if err != nil {
		return nil, err
	}
	whole := bytes.LastIndexByte(text, '\n') + 1
	known := make(map[int]bool)
	for line := range bytes.Lines(text[:whole]) {
		var r rejected
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, fmt.Errorf("%s: what was rejected last cannot be read: %w", path, err)
		}
		known[r.Line] = true
	}
	return known, f.Truncate(o.before.RejectsEnd + int64(whole))
}
