package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/internal/workerfile"
	"github.com/tidemill/tidemill/worker"
)

const checkHelp = `Reads worker.yaml as "worker run" would, and says in words what that would run and who decided
each setting: a flag, the environment, a line of the file, or the default. It changes nothing and
starts nothing. Every fault is told, with file, line, column, field and what is allowed; commands
must be there and executable. With --connect it also asks Redis whether it can be used.

--schema prints the JSON Schema of the file, for editors; see docs/worker-yaml.md.

Exit codes: 0 all is well; 2 the file or a flag is not; 69 with --connect: Redis cannot be used.`

const checkExamples = `  worker check -c worker.yaml
  worker check -c worker.yaml --connect --json
  worker check --schema > worker.schema.json`

// checkCommand is `worker check`.
type checkCommand struct {
	*runCommand
	connect bool
	asJSON  bool
	schema  bool
}

func (c *command) newCheck() *cobra.Command {
	k := &checkCommand{runCommand: &runCommand{command: c}}
	cmd := &cobra.Command{
		Use: "check", Short: "Check worker.yaml and say what it would run", Long: checkHelp, Example: checkExamples,
		Args: cobra.NoArgs, RunE: k.check,
	}
	k.addFlags(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&k.connect, "connect", false, "ask Redis too")
	flags.BoolVar(&k.asJSON, "json", false, "print one JSON object")
	flags.BoolVar(&k.schema, "schema", false, "print the JSON Schema of the file instead")
	return cmd
}

// checked is what check says.
type checked struct {
	File     string        `json:"file"`
	Settings []setting     `json:"settings"`
	Handlers []handlerLine `json:"handlers"`
	Notes    []string      `json:"notes,omitempty"`
	Redis    string        `json:"redis"` // "not asked", or what it answered
}

func (k *checkCommand) check(cmd *cobra.Command, _ []string) error {
	if k.schema {
		_, err := cmd.OutOrStdout().Write(workerfile.Schema())
		return err
	}
	file, err := k.load(cmd)
	if err != nil {
		return err
	}
	if file == nil {
		return cli.Usagef("no file to check: name it with -c FILE or %s", envConfig)
	}
	p, err := k.plan(cmd, file)
	if err != nil {
		return err
	}
	launcher := &launcher{checks: true}
	defer launcher.close()
	handlers, err := build(file, launcher, nil)
	if err != nil {
		return err
	}
	defer handlers.closeUnless(nil)
	r := checked{File: file.Name, Settings: p.settings, Handlers: handlers.lines, Notes: notes(p, k.asJSON), Redis: "not asked"}
	if k.connect {
		if err := k.ask(cmd.Context(), p); err != nil {
			return err
		}
		r.Redis = "answers, and can be used"
	}
	if k.asJSON {
		return printJSON(cmd.OutOrStdout(), r)
	}
	return r.print(cmd.OutOrStdout())
}

// ask connects, which checks the server.
func (k *checkCommand) ask(ctx context.Context, p *plan) error {
	client, err := k.open(ctx, p.client)
	if err != nil {
		return err
	}
	return client.Close()
}

// notes are what a careful reader would ask about. That one connection waits for all queues, which is so without a Cluster,
// is told to programs only.
func notes(p *plan, all bool) []string {
	var list []string
	for _, q := range p.config.Queues {
		if q.Concurrency > p.config.Concurrency {
			list = append(list, fmt.Sprintf("queue %s may run %d at once, and all queues together %d", q.Name, q.Concurrency, p.config.Concurrency))
		}
	}
	scheme, _, _ := strings.Cut(p.url, "://")
	cluster := strings.HasSuffix(scheme, "+cluster")
	if n := len(p.config.Queues); cluster || all && n > 1 {
		list = append(list, worker.BlockingPlan(n, cluster))
	}
	list = append(list, p.unserved()...)
	if limits := launchLimits(p.file); limits != "" {
		list = append(list, limits)
	}
	return list
}

// print is the report for people.
func (r *checked) print(w io.Writer) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%s is good.\n\n", r.File)
	t := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, s := range r.Settings {
		fmt.Fprintf(t, "%s\t%s\t%s\n", s.Name, s.Value, s.From)
	}
	_ = t.Flush() // into memory
	text.WriteString("\nhandlers\n")
	t = tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, h := range r.Handlers {
		fmt.Fprintf(t, "  %s\t%s\n", h.Kind, h)
	}
	_ = t.Flush()
	for _, note := range r.Notes {
		fmt.Fprintf(&text, "\nNote: %s.\n", note)
	}
	redis := "Redis " + r.Redis + "."
	if r.Redis == "not asked" {
		redis = "Redis was not asked (--connect)."
	}
	fmt.Fprintf(&text, "\n%s\n", redis)
	_, err := io.WriteString(w, text.String())
	return err
}
