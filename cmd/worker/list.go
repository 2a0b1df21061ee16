package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/queue"
)

const listHelp = `Lists the jobs of a queue as they are found: it takes no more memory for a million of them. Without
--state it shows the states one after another: scheduled, suspect (ready, but it crashed its
worker), ready, running, dead, finished.

On a terminal it stops after --limit jobs of each state, 50 unless given, 10 without --state, and
prints the command that goes on. Elsewhere it lists all, unless --limit is given.

A job that changes its state meanwhile may be missed or come twice. DETAIL is what it waits for or
its last error, else the args. -q prints ids alone, which "jobs cancel", "delete" and "redrive" take from stdin:
  worker jobs list default --state dead --kind "mail.*" -q | worker jobs redrive default -
(the same at once: worker jobs redrive default --kind "mail.*").
`

const listExamples = `  worker jobs list default
  worker jobs list default --state dead --since 2h --error "connection refused"
  worker jobs list default --state ready,scheduled --kind "image.*" --meta tenant=acme
  worker jobs list default --state dead --group-by error
  worker jobs list default --state scheduled --json | jq -r .due_at`

// Rows shown on a terminal unless --limit is given: of one state, and of each where all are shown.
const (
	rowsOfOne  = 50
	rowsOfEach = 10
)

// listCommand is `worker jobs list`.
type listCommand struct {
	*command
	filter  jobFilter
	limit   int
	groupBy string
	json    bool
	quiet   bool
}

func (c *command) newList() *cobra.Command {
	l := &listCommand{command: c}
	cmd := &cobra.Command{
		Use: "list QUEUE", Short: "List the jobs of a queue", Long: listHelp + l.filter.help(states), Example: listExamples,
		Args: arguments("QUEUE"), ValidArgsFunction: c.completeFirst, RunE: l.run,
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	l.filter.addFlags(cmd, c, states)
	flags.IntVar(&l.limit, "limit", 0, "stop after `n` jobs of each state; 0 = list all (default on a terminal: see above)")
	flags.StringVar(&l.groupBy, "group-by", "", "count the dead by `what`: error")
	flags.BoolVar(&l.json, "json", false, "print one JSON object a line")
	flags.BoolVarP(&l.quiet, "quiet", "q", false, "print the ids alone")
	_ = cmd.RegisterFlagCompletionFunc("group-by", cobra.FixedCompletions([]cobra.Completion{"error"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("limit", cobra.NoFileCompletions)
	return cmd
}

func (l *listCommand) run(cmd *cobra.Command, args []string) error {
	switch {
	case l.limit < 0:
		return cli.Usagef("--limit %d: allowed: 0 (all) or more", l.limit)
	case l.json && l.quiet:
		return cli.Usagef("--json and -q: give one of them")
	case cmd.Flags().Changed("group-by") && l.groupBy != "error":
		return cli.Usagef("--group-by %q: allowed: error", l.groupBy)
	case l.groupBy != "" && l.quiet:
		return cli.Usagef("--group-by and -q: groups have no ids")
	case l.groupBy != "" && cmd.Flags().Changed("limit"):
		return cli.Usagef("--group-by and --limit: all the dead are counted")
	case l.groupBy != "":
		dead := []queue.State{queue.DeadState}
		s, err := l.filter.selection(cmd, dead, dead)
		if err != nil {
			return err
		}
		return l.errorGroups(cmd, args[0], &l.filter, s, l.json)
	}
	s, err := l.filter.selection(cmd, states, everyState)
	if err != nil {
		return err
	}
	return l.withQueue(cmd, args[0], func(ctx context.Context, client *queue.Client) error {
		return l.list(ctx, cmd, client, args[0], s)
	})
}

// rows is how many jobs of each state are listed; 0 = all.
func (l *listCommand) rows(cmd *cobra.Command, s *selection) int {
	switch {
	case cmd.Flags().Changed("limit") || !cli.IsTerminal(cmd.OutOrStdout()):
		return l.limit
	case len(s.states) > 1:
		return rowsOfEach
	}
	return rowsOfOne
}

func (l *listCommand) list(ctx context.Context, cmd *cobra.Command, client *queue.Client, name string, s *selection) error {
	out := l.printer(cmd.OutOrStdout())
	limit, found := l.rows(cmd, s), 0
	var more []string
	for _, state := range s.states {
		o := s.in(state)
		if limit > 0 {
			o.Limit = limit + 1 // one more tells whether there are more
		}
		n, last := 0, ""
		for job, err := range client.List(ctx, name, o) {
			if err != nil {
				return keep(err, out.end())
			}
			if limit > 0 && n == limit {
				more = append(more, s.commandLine(cmd, name, []queue.State{state}, "--cursor", last))
				break
			}
			n, last = n+1, job.Cursor
			if err := out.job(job); err != nil {
				return err
			}
		}
		found += n
	}
	if err := out.end(); err != nil {
		return err
	}
	if p, ok := out.(*tablePrinter); ok {
		remarkNarrow(cmd, p.table)
	}
	l.remark(cmd, found, more)
	return nil
}

// remark tells people what the table does not.
func (l *listCommand) remark(cmd *cobra.Command, found int, more []string) {
	person := cli.IsTerminal(cmd.OutOrStdout())
	switch {
	case found > 0 || l.quiet || l.json:
	case l.filter.given(cmd):
		l.filter.remarkNone(cmd)
	case person:
		fmt.Fprintln(cmd.ErrOrStderr(), "no jobs")
	}
	if !person {
		return // whoever reads a pipe gets all, or the limit that was asked for
	}
	for i, command := range more {
		if i == 0 {
			fmt.Fprintln(cmd.ErrOrStderr(), "\nthere are more:")
		}
		fmt.Fprintln(cmd.ErrOrStderr(), "  "+command)
	}
}

// keep is the first of two errors that says something.
func keep(err, other error) error {
	if err == nil {
		return other
	}
	return err
}

// listPrinter writes jobs in one of the three forms.
type listPrinter interface {
	job(*queue.Snapshot) error
	end() error
}

func (l *listCommand) printer(w io.Writer) listPrinter {
	switch {
	case l.json:
		return jsonPrinter{w}
	case l.quiet:
		return idPrinter{w}
	}
	return &tablePrinter{cli.NewTable(w, cli.Width(w), jobColumns...)}
}

type jsonPrinter struct{ w io.Writer }

func (p jsonPrinter) job(s *queue.Snapshot) error {
	view := newJobView(s)
	view.Cursor = s.Cursor
	return printJSON(p.w, view)
}
func (p jsonPrinter) end() error { return nil }

type idPrinter struct{ w io.Writer }

func (p idPrinter) job(s *queue.Snapshot) error {
	_, err := fmt.Fprintln(p.w, s.ID)
	return err
}
func (p idPrinter) end() error { return nil }

// jobColumns: ids are never cut, since they are there to be copied.
var jobColumns = []cli.Column{
	{Title: "ID"},
	{Title: "KIND", Yield: 4, Least: 10, Good: 20},
	{Title: "STATE", Whole: true, Yield: 1},
	{Title: "TRIES", Right: true, Whole: true, Yield: 6},
	{Title: "WHEN", Whole: true, Yield: 5},
	{Title: "DETAIL", Yield: 2, Least: 16, Good: 40},
}

type tablePrinter struct{ table *cli.Table }

func (p *tablePrinter) job(s *queue.Snapshot) error {
	id := s.ID.String()
	if s.Key != "" {
		id = s.Key
	}
	return p.table.Row(id, s.Kind, string(s.State), fmt.Sprint(s.Attempts), cli.Ago(ownTime(s), time.Now()), detail(s))
}

func (p *tablePrinter) end() error { return p.table.Flush() }

// ownTime is the time that goes with the job's state.
func ownTime(s *queue.Snapshot) time.Time {
	switch s.State {
	case queue.Scheduled:
		return s.DueAt
	case queue.Running:
		return s.StartedAt
	case queue.DeadState, queue.Succeeded, queue.Cancelled, queue.Expired:
		return s.EndedAt
	}
	return s.CreatedAt
}

// longDetail is more than a line of any terminal.
const longDetail = 1000

// detail is what keeps a job from its end: that nobody serves its kind, or its last error; else its args.
func detail(s *queue.Snapshot) string {
	var text string
	switch {
	case s.Corrupt != nil:
		text = "corrupt: " + s.Corrupt.Error()
	case s.Reason != "":
		text = s.Reason
	case !s.UnknownSince.IsZero():
		text = "no worker serves this kind"
	case len(s.Errors) > 0 && s.State != queue.Succeeded:
		text = s.Errors[len(s.Errors)-1].Error
	case len(s.Payload) > longDetail:
		text = strings.ToValidUTF8(string(s.Payload[:longDetail]), "") + "…"
	default:
		text = string(s.Payload)
	}
	return text
}
