package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/queue"
)

const editHelp = `Changes the args, the time or the priority of a job that does not run. The rest of it stays as it is.
A dead job has no time: redrive it. When the job changes meanwhile nothing is done.

On a terminal, with none of the flags, it opens $VISUAL or $EDITOR on the args.`

const editExamples = `  worker jobs edit default report-2027-01-31 --in 1h
  worker jobs edit default report-2027-01-31 --now
  worker jobs edit default report-2027-01-31 --args '{"month":"2027-01"}' --priority 9
  worker jobs edit default report-2027-01-31 --args @report.json
  EDITOR=vi worker jobs edit default report-2027-01-31`

// maxArgs is the most that is read as args.
const maxArgs = 64 << 20

// editCommand is `worker jobs edit`.
type editCommand struct {
	*command
	args     string
	at, in   string
	now      bool
	priority int
	editor   bool
	json     bool
}

func (c *command) newEdit() *cobra.Command {
	e := &editCommand{command: c}
	cmd := &cobra.Command{
		Use: "edit QUEUE ID", Short: "Change the args, the time or the priority of a job that does not run", Long: editHelp, Example: editExamples,
		Args: arguments("QUEUE", "ID"), ValidArgsFunction: c.completeJobs(queue.Scheduled, queue.Ready, queue.Suspect, queue.DeadState), RunE: e.run,
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&e.args, "args", "", "the new args: `JSON`, @FILE, or - for stdin")
	flags.StringVar(&e.at, "at", "", "run at this `time`: RFC 3339, or Unix time in s or ms")
	flags.StringVar(&e.in, "in", "", "run after this `duration`")
	flags.BoolVar(&e.now, "now", false, "run now")
	flags.IntVar(&e.priority, "priority", 0, "the new priority, 0 to 9: higher runs first")
	flags.BoolVar(&e.editor, "editor", false, "open $VISUAL or $EDITOR on the args")
	flags.BoolVar(&e.json, "json", false, "print the job as one JSON object")
	for _, name := range []string{"at", "in", "priority"} {
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
	return cmd
}

func (e *editCommand) run(cmd *cobra.Command, args []string) error {
	edit, err := e.edit(cmd)
	if err != nil {
		return err
	}
	return e.withQueue(cmd, args[0], func(ctx context.Context, client *queue.Client) error {
		if e.editor {
			if edit.Payload, err = e.fromEditor(ctx, cmd, client, args[0], args[1]); err != nil {
				return err
			}
		}
		if err := client.Edit(ctx, args[0], args[1], *edit); err != nil {
			return err
		}
		if !e.json {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s is changed\n", cli.Clean(args[1]))
			return err
		}
		s, err := client.Get(ctx, args[0], args[1])
		if err != nil {
			return fmt.Errorf("it is changed, but: %w", err)
		}
		return printJSON(cmd.OutOrStdout(), newJobView(s))
	})
}

// edit checks the flags.
func (e *editCommand) edit(cmd *cobra.Command) (*queue.Edit, error) {
	given := cmd.Flags().Changed
	times := 0
	for _, name := range []string{"at", "in", "now"} {
		if given(name) {
			times++
		}
	}
	anything := times > 0 || given("args") || given("priority")
	switch {
	case times > 1:
		return nil, cli.Usagef("--at, --in and --now: give one of them")
	case given("args") && e.editor:
		return nil, cli.Usagef("--args and --editor: give one of them")
	case given("now") && !e.now:
		return nil, cli.Usagef("--now=false says nothing; give --at or --in")
	case given("at") && e.at == "" || given("in") && e.in == "":
		return nil, cli.Usagef("--at and --in want a value; leave them out to keep the time")
	case given("priority") && (e.priority < 0 || e.priority > 9):
		return nil, cli.Usagef("--priority %d: allowed: 0 to 9", e.priority)
	case !anything && !e.editor && !cli.IsTerminal(cmd.InOrStdin()):
		return nil, cli.Usagef("give what to change: --args, --at, --in, --now or --priority")
	}
	e.editor = e.editor || !anything
	edit := &queue.Edit{}
	if given("priority") {
		edit.Priority = &e.priority
	}
	if err := e.setTime(edit); err != nil {
		return nil, err
	}
	if given("args") {
		payload, err := e.payload(cmd.InOrStdin())
		if err != nil {
			return nil, err
		}
		edit.Payload = payload
	}
	return edit, nil
}

func (e *editCommand) setTime(edit *queue.Edit) error {
	var when time.Time
	switch {
	case e.at != "":
		t, err := parseTime(e.at)
		if err != nil {
			return cli.Usage(fmt.Errorf("--at: %w", err))
		}
		when = t
	case e.in != "":
		d, err := parseSpan(e.in)
		if err != nil {
			return cli.Usage(fmt.Errorf("--in: %w", err))
		}
		if d < 0 {
			return cli.Usagef("--in %s: allowed: 0s or more", e.in)
		}
		edit.RunIn = &d
		return nil
	case e.now:
		now := time.Duration(0)
		edit.RunIn = &now
		return nil
	default:
		return nil
	}
	edit.RunAt = &when
	return nil
}

// payload reads what --args says.
func (e *editCommand) payload(stdin io.Reader) ([]byte, error) {
	text, what := []byte(e.args), "--args"
	file, named := strings.CutPrefix(e.args, "@")
	var err error
	switch {
	case e.args == "-":
		what = "--args - (stdin)"
		text, err = io.ReadAll(io.LimitReader(stdin, maxArgs+1))
	case named:
		what = "--args " + e.args
		text, err = readUpTo(file, maxArgs+1)
	}
	switch {
	case err != nil && named:
		return nil, cli.Usagef("%s: %w", what, err)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", what, err)
	case len(text) > maxArgs:
		return nil, cli.Usagef("%s: more than %d bytes", what, maxArgs)
	}
	return validArgs(what, text)
}

func readUpTo(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most))
}

// validArgs is the JSON of a text.
func validArgs(what string, text []byte) ([]byte, error) {
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return nil, cli.Usagef("%s: it is empty; want JSON", what)
	}
	if err := json.Unmarshal(text, new(json.RawMessage)); err != nil {
		return nil, cli.Usagef("%s: no JSON: %w", what, err)
	}
	return text, nil
}

// fromEditor lets a person change the args of a job.
func (e *editCommand) fromEditor(ctx context.Context, cmd *cobra.Command, client *queue.Client, name, id string) ([]byte, error) {
	s, err := client.Get(ctx, name, id)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := json.Indent(&text, s.Payload, "", "  "); err != nil {
		return nil, fmt.Errorf("the args of this job are no JSON, so no editor can be opened on them: give --args")
	}
	text.WriteByte('\n')
	changed, err := edited(cmd, text.Bytes())
	if err != nil {
		return nil, err
	}
	// It took a while: what others did to the args meanwhile must not be undone unseen.
	now, err := client.Get(ctx, name, id)
	if err == nil && !bytes.Equal(now.Payload, s.Payload) {
		err = fmt.Errorf("%w: the args were changed by somebody else meanwhile; nothing was done", queue.ErrConflict)
	}
	return changed, err
}

// edited is what an editor leaves of a text: JSON. A text that cannot be used is kept, for it is somebody's work.
func edited(cmd *cobra.Command, text []byte) (payload []byte, err error) {
	dir, err := os.MkdirTemp("", "tidemill-edit-")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "args.json")
	keepIt := false
	defer func() {
		if !keepIt {
			_ = os.RemoveAll(dir)
		}
	}()
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, err
	}
	if err := openEditor(cmd, file); err != nil {
		return nil, err
	}
	changed, err := readUpTo(file, maxArgs+1)
	switch {
	case err != nil:
		return nil, err
	case bytes.Equal(changed, text):
		return nil, &cli.Exit{Code: cli.CodeFailure, Err: errors.New("nothing was changed in the editor; the job is as it was")}
	}
	if payload, err = validArgs("what the editor left", changed); err != nil {
		keepIt = true
		return nil, &cli.Exit{Code: cli.CodeFailure, Err: fmt.Errorf("%w; it is kept: mend it and give --args @%s", err, file)}
	}
	return payload, nil
}

// openEditor runs the editor to its end. As usual its setting may hold arguments, so a shell reads it.
func openEditor(cmd *cobra.Command, file string) error {
	editor := os.Getenv("VISUAL")
	if editor == "" {
		editor = os.Getenv("EDITOR")
	}
	if editor == "" {
		return cli.Usagef("neither VISUAL nor EDITOR is set: set one, or give --args")
	}
	run := exec.Command("sh", "-c", editor+` "$1"`, "sh", file)
	if runtime.GOOS == "windows" {
		run = exec.Command("cmd", "/c", editor, file)
	}
	run.Stdin, run.Stdout, run.Stderr = cmd.InOrStdin(), os.Stdout, cmd.ErrOrStderr()
	if err := run.Run(); err != nil {
		return fmt.Errorf("the editor %s: %w", editor, err)
	}
	return nil
}
