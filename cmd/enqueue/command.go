package main

import (
	_ "embed"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/queue"
)

// codeUnreachable is the exit code when Redis does not answer or cannot be used as it is.
const codeUnreachable = 3

//go:embed help.txt
var help string

//go:embed examples.txt
var examples string

// command is one run of enqueue: its flags, and what both ways of using it share.
type command struct {
	connection cli.Connection
	job        jobFlags
	file       string
	rejects    string
	fromLine   int
	maxPayload int
	json       bool
	quiet      bool
}

func newCommand() *cobra.Command {
	c := &command{}
	cmd := &cobra.Command{
		Use:               "enqueue KIND [JSON | -]\n  enqueue --file FILE|-",
		Short:             "Put jobs into Tidemill's queues",
		Long:              help,
		Example:           examples,
		Args:              c.checkArgs,
		RunE:              c.run,
		ValidArgsFunction: completeKind,
		// The two ways of calling it are lines of their own; cobra would put the flags behind the last one.
		DisableFlagsInUseLine: true,
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&c.file, "file", "f", "", "enqueue the jobs in `FILE`, one JSON object a line; - is stdin")
	flags.StringVar(&c.rejects, "rejects", "", "with --file: write lines that were not accepted to `FILE`, with number and reason; - is stdout")
	flags.IntVar(&c.fromLine, "from-line", 1, "with --file: start at line `N`, to resume; --rejects is appended to then")
	c.job.add(flags)
	flags.IntVar(&c.maxPayload, "max-payload", queue.DefaultMaxPayload, "largest JSON of a job in `bytes`, at most 67108864")
	c.connection.AddFlags(flags)
	flags.BoolVar(&c.json, "json", false, "print one JSON object: the job, or with --file the counts")
	flags.BoolVarP(&c.quiet, "quiet", "q", false, "print no progress, warnings, reasons or summary")
	return cmd
}

// completeKind offers the kinds that `worker dev` serves; the others are known to nobody but their workers.
func completeKind(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return []cobra.Completion{"log\twrites its args", "noop\tdoes nothing", "sleep\ttakes a while", "fail\tfails a few times"},
		cobra.ShellCompDirectiveNoFileComp
}

// checkArgs finds every fault of the command line that can be found without Redis.
func (c *command) checkArgs(cmd *cobra.Command, args []string) error {
	flags := cmd.Flags()
	given := func(name string) bool { return flags.Changed(name) }
	switch {
	case given("file") && c.file == "":
		return cli.Usagef("--file is given and empty; - is stdin")
	case given("file") && len(args) > 0:
		return cli.Usagef("give KIND or --file, not both: each line of the file has its own \"kind\"")
	case given("file") && given("id"):
		return cli.Usagef("--id is for a single job: each line of the file may have its own \"id\"")
	case !given("file") && (given("rejects") || given("from-line")):
		return cli.Usagef("--rejects and --from-line go with --file")
	case given("rejects") && c.rejects == "":
		return cli.Usagef("--rejects is given and empty")
	case c.rejects == "-" && c.json:
		return cli.Usagef("--rejects - and --json both want stdout")
	case c.fromLine < 1:
		return cli.Usagef("--from-line %d: lines are counted from 1", c.fromLine)
	case c.maxPayload < 1:
		return cli.Usagef("--max-payload %d: want 1 to 67108864 bytes", c.maxPayload)
	case !given("file") && len(args) == 0:
		return cli.Usagef("give the KIND of a job, or --file")
	case len(args) > 2:
		return cli.Usagef("want KIND and one JSON text, got %d arguments; quote the JSON: '{\"text\":\"hi\"}'", len(args))
	}
	if err := c.job.check(flags); err != nil {
		return err
	}
	return c.connection.Check()
}

func (c *command) run(cmd *cobra.Command, args []string) error {
	options := c.job.options(cmd.Flags())
	if c.file != "" {
		return c.enqueueFile(cmd, options)
	}
	return c.enqueueOne(cmd, args, options)
}

// config is how both ways of using enqueue open the queue.
func (c *command) config(cmd *cobra.Command) queue.Config {
	config := queue.Config{MaxPayload: c.maxPayload}
	if !c.quiet {
		config.Logger = cli.Warnings(cmd.ErrOrStderr(), cmd.Name())
	}
	return config
}
