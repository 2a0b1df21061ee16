package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/cli"
)

// offsetForm is the version of the offset file.
const offsetForm = 1

// saveEvery is how often the offset file is written at most while lines are sent.
const saveEvery = 250 * time.Millisecond

// What an offset file says of the run that wrote it.
const (
	underWay = "under way" // or cut off: what Redis has of the lines behind is for Redis to say
	stopped  = "stopped"   // what became of every line before is known, and none behind was sent
	finished = "finished"  // the same, at the end of the file
)

// place is a line of the input: its number, and where it begins.
type place struct {
	line   int
	offset int64
}

// offsetRecord is what an offset file holds.
type offsetRecord struct {
	Form       int               `json:"tidemill_offset"`
	State      string            `json:"state"`
	FirstLine  int               `json:"first_line,omitempty"` // where the first run was told to begin; 0 = line 1
	Line       int               `json:"next_line"`
	Offset     int64             `json:"next_offset"`
	Enqueued   int               `json:"enqueued"` // these three: of all runs
	Duplicates int               `json:"duplicates"`
	Rejected   int               `json:"rejected"`
	File       string            `json:"file"` // for people
	Content    fingerprint       `json:"content"`
	Rejects    string            `json:"rejects,omitempty"`
	RejectsEnd int64             `json:"rejects_end,omitempty"` // its size when this was written
	Namespace  string            `json:"namespace"`
	Queue      string            `json:"queue"` // of lines that name none
	IDs        string            `json:"ids,omitempty"`
	Input      uuid.UUID         `json:"input"`  // names the file in Redis
	Run        int               `json:"run"`    // counts the times it was taken up
	Queues     map[string]uint64 `json:"queues"` // the number of the last line that each surely has
	At         time.Time         `json:"at"`
}

// offsets is an offset file in use.
type offsets struct {
	path    string
	in      *input
	unlock  func()
	resumed bool // there was one

	mu      sync.Mutex
	record  offsetRecord
	before  offsetRecord // as it was found
	written time.Time
	rejects *os.File // nil where lines are rejected to no file
	passing int      // the last line that a run before rejected behind its last save
}

// offsetError ends a stream because its offset file cannot be written. The older one stays, and is good.
type offsetError struct{ err error }

func (e *offsetError) Error() string { return "writing the offset file: " + e.err.Error() }
func (e *offsetError) Unwrap() error { return e.err }

// openOffsets takes the offset file of a run, nil where none was asked for. Nobody else can until it is closed.
func (c *command) openOffsets(in *input) (_ *offsets, err error) {
	if c.offsetFile == "" {
		return nil, nil
	}
	if in.file == nil || !in.regular {
		return nil, cli.Usagef("--offset-file: %s is no regular file, and cannot be read again from the middle", in.name)
	}
	if sameFile(in.file, c.offsetFile) {
		return nil, cli.Usagef("--offset-file %s would overwrite the input", c.offsetFile)
	}
	o := &offsets{path: c.offsetFile, in: in}
	if o.unlock, err = lockFile(c.offsetFile + ".lock"); err != nil {
		return nil, cli.Usagef("--offset-file %s: %w", c.offsetFile, err)
	}
	if err := o.load(c); err != nil {
		o.unlock()
		return nil, err
	}
	return o, nil
}

// load reads the file, or begins one.
func (o *offsets) load(c *command) error {
	o.record = offsetRecord{Form: offsetForm, FirstLine: c.fromLine, Line: 1, File: o.in.name, Namespace: c.namespaceName(), Queue: c.queueName(),
		IDs: c.ids, Input: uuid.New(), Queues: map[string]uint64{}}
	text, err := os.ReadFile(o.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(text, &o.before)
	}
	switch r := &o.before; {
	case err == nil && (r.Form == 0 || r.Line < 1 || r.Offset < 0 || r.Run < 1 || r.Input == uuid.Nil):
		err = errors.New("it is none")
	case err == nil && r.Form != offsetForm:
		err = fmt.Errorf("it is of form %d, and this program reads %d", r.Form, offsetForm)
	}
	if err != nil {
		return cli.Usagef("--offset-file %s: %w", o.path, err)
	}
	o.resumed = true
	if o.record.Queues = o.before.Queues; o.record.Queues == nil {
		o.record.Queues = map[string]uint64{}
	}
	if err := o.compare(c); err != nil {
		return err
	}
	next := o.before
	next.File, next.Queues, next.Run = o.in.name, o.record.Queues, o.before.Run+1
	o.record = next
	return nil
}

// compare refuses to go on with what is not the same stream.
func (o *offsets) compare(c *command) error {
	r := &o.before
	startOver := fmt.Sprintf("remove %s to start over", o.path)
	for _, pair := range [][3]string{{"--namespace", r.Namespace, c.namespaceName()}, {"--queue", r.Queue, c.queueName()}, {"--ids", r.IDs, c.ids}} {
		if pair[1] != pair[2] {
			return cli.Usagef("--offset-file %s was begun with %s %q, and is taken up with %q; %s", o.path, pair[0], pair[1], pair[2], startOver)
		}
	}
	if c.fromLine > 1 && c.fromLine != r.FirstLine { // the same command goes on
		return cli.Usagef("--offset-file %s says that line %d is next; leave --from-line out, or %s at line %d", o.path, r.Line, startOver, c.fromLine)
	}
	if err := r.Content.check(o.in.file, r.Offset); err != nil {
		return cli.Usagef("--offset-file %s is of another input than %s: %w; %s", o.path, o.in.name, err, startOver)
	}
	return nil
}

// start is where to begin reading: behind what is known to be done with.
func (o *offsets) start() (place, error) {
	// While nothing was sent the first line is looked for anew: it may not have been there yet, nor the end of the one before it.
	if o.record.Run = max(o.record.Run, 1); !o.resumed || o.record.Line <= o.record.FirstLine {
		return findLine(o.in.file, o.record.FirstLine)
	}
	at := place{o.record.Line, o.record.Offset}
	skip, err := lineRest(o.in.file, at.offset)
	if err != nil {
		return place{}, cli.Usagef("--offset-file %s: line %d of %s was sent before it was complete: %w; mend it, or remove the offset file and go on with --from-line",
			o.path, at.line-1, o.in.name, err)
	}
	at.offset += skip
	return at, nil
}

// advance notes how far the stream is, and writes it now and then.
func (o *offsets) advance(c counts, places map[string]uint64) error {
	if o == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.takeLocked(c, places)
	if time.Since(o.written) < saveEvery {
		return nil
	}
	return o.saveLocked(underWay)
}

// end writes how the run ended.
func (o *offsets) end(c counts, places map[string]uint64, state string) error {
	if o == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.takeLocked(c, places)
	return o.saveLocked(state)
}

// uses notes, before the first job goes to a queue, that it does.
func (o *offsets) uses(queue string, line uint64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.record.Queues[queue] = line
	return o.saveLocked(underWay)
}

// rewind notes that all is to be read again, and answers from where. It is written with the queue's line that is the reason,
// by uses.
func (o *offsets) rewind() (place, error) {
	at, err := findLine(o.in.file, o.record.FirstLine)
	if err != nil {
		return place{}, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.record.Line, o.record.Offset = at.line, at.offset
	o.before.Enqueued, o.before.Duplicates, o.before.Rejected = 0, 0, 0
	o.record.Enqueued, o.record.Duplicates, o.record.Rejected = 0, 0, 0
	return at, nil
}

// undo leaves the file of a run that could not begin as sure of itself as it was.
func (o *offsets) undo() error {
	if !o.resumed {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.saveLocked(o.before.State)
}

func (o *offsets) takeLocked(c counts, places map[string]uint64) {
	o.record.Line, o.record.Offset = c.line, c.offset
	// What is behind the line to go on at is counted by the run that passes it by.
	o.record.Enqueued = o.before.Enqueued + c.Enqueued + c.AlreadyIn - (c.beyond - c.beyondDuplicates)
	o.record.Duplicates = o.before.Duplicates + c.Duplicates - c.beyondDuplicates
	o.record.Rejected = o.before.Rejected + c.Rejected + c.passed
	for name, line := range places {
		o.record.Queues[name] = line
	}
}

// saveLocked replaces the file: a reader finds the old one or the new one, also after a crash of the machine.
func (o *offsets) saveLocked(state string) error {
	r := &o.record
	r.State, r.At = state, time.Now().UTC()
	err := r.Content.take(o.in.file, r.Offset)
	if err == nil && o.rejects != nil {
		// Until the stream is past what a run before rejected, the next run has to find it again.
		if err = o.rejects.Sync(); err == nil && r.Line > o.passing {
			r.RejectsEnd, err = sizeOf(o.rejects)
		}
	}
	if err == nil {
		var text []byte
		if text, err = json.MarshalIndent(r, "", "  "); err == nil {
			err = replaceFile(o.path, append(text, '\n'))
		}
	}
	if err != nil {
		return &offsetError{err}
	}
	o.written = time.Now()
	return nil
}

// totals is what became of the lines in all runs.
func (o *offsets) totals() (enqueued, duplicates, rejected int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.record.Enqueued, o.record.Duplicates, o.record.Rejected
}

// close lets others use the file.
func (o *offsets) close() {
	if o != nil {
		o.unlock()
	}
}
