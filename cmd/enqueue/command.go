package main

import (
	_ "embed"
	"fmt"
	"io"
	"strings"

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
	offsetFile string
	ids        string
	whenFull   string
	maxPayload int
	wait       waitValue
	durable    durableFlags
	lifecycle  bool
	json       bool
	quiet      bool
}

func newCommand() *cobra.Command {
	c := &command{}
	cmd := &cobra.Command{
		Use:               "enqueue KIND [JSON | -]\n  enqueue --file FILE|-\n  enqueue publish TOPIC JSON|-",
		Short:             "Put jobs into Tidemill's queues",
		Long:              help,
		Example:           examples,
		Args:              c.checkArgs,
		RunE:              c.run,
		ValidArgsFunction: completeArgs,
		// The two ways of calling it are lines of their own; cobra would put the flags behind the last one.
		DisableFlagsInUseLine: true,
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&c.file, "file", "f", "", "enqueue the jobs in `FILE`, one JSON object a line; - is stdin")
	flags.StringVar(&c.rejects, "rejects", "", "with --file: write lines that were not accepted to `FILE`, with number and reason; - is stdout")
	flags.IntVar(&c.fromLine, "from-line", 1, "with --file: start at line `N`, to resume; --rejects is appended to then")
	flags.StringVar(&c.offsetFile, "offset-file", "", "with --file: keep in `FILE` how far it is; the same command goes on there, also after a kill, and enqueues no line twice")
	flags.StringVar(&c.ids, "ids", "", "with --file: content = a line without \"id\" gets one from its bytes: while its job exists, the same line is a duplicate")
	flags.StringVar(&c.whenFull, "when-full", whenFullReject, "with --file: what to do with lines when Redis is full: reject or wait")
	flags.Var(&c.wait, "wait", "wait until the job has ended, at most so long; its result is printed, its fate is the exit code")
	flags.Lookup("wait").NoOptDefVal = waitForever
	c.job.add(flags)
	c.durable.add(flags)
	flags.BoolVar(&c.lifecycle, "lifecycle", false, "publish what was created to the topic jobs.QUEUE")
	flags.IntVar(&c.maxPayload, "max-payload", queue.DefaultMaxPayload, "largest JSON of a job in `bytes`, at most 67108864")
	c.connection.AddFlags(flags)
	flags.BoolVar(&c.json, "json", false, "print one JSON object: the job, or with --file the counts")
	flags.BoolVarP(&c.quiet, "quiet", "q", false, "print no progress, warnings, reasons or summary")
	c.complete(cmd)
	optionalValue(cmd)
	cmd.AddCommand(newPublish())
	cmd.SetHelpCommand(newHelp())
	return cmd
}

// newHelp is `enqueue help`. Cobra's own would take what follows it for the name of a command, though it may be a kind's args.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Help about enqueue or one of its commands", DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				cmd.Root().InitDefaultHelpFlag() // as it has them when it runs itself
				cmd.Root().InitDefaultVersionFlag()
				return cmd.Root().Help()
			}
			for _, verb := range cmd.Root().Commands() {
				if verb.Name() == args[0] && len(args) == 1 {
					verb.InitDefaultHelpFlag()
					return verb.Help()
				}
			}
			return cli.Usagef("no command %q; for a job of the kind help: enqueue -- help '{...}'", cli.Cut(cli.Clean(args[0]), shownArgs))
		},
		ValidArgsFunction: cobra.FixedCompletions([]cobra.Completion{"publish", "completion"}, cobra.ShellCompDirectiveNoFileComp),
	}
}

// optionalValue makes the help say --wait[=duration]. pflag has one form for flags whose value may be left out, with the
// word that stands for none in it. Of "enqueue [command]" it says nothing: the usage above it names them.
func optionalValue(cmd *cobra.Command) {
	const pflags, ours = "--wait duration[=" + waitForever + "]", "--wait[=duration]"
	show := cmd.HelpFunc()
	cmd.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		var text strings.Builder
		out := cmd.OutOrStdout()
		cmd.SetOut(&text)
		show(cmd, args)
		cmd.SetOut(out)
		// As wide as it was: the texts behind it stand in a column.
		shown := strings.Replace(text.String(), pflags, fmt.Sprintf("%-*s", len(pflags), ours), 1)
		_, _ = io.WriteString(out, strings.Replace(shown, "\n  enqueue [command]\n", "\n", 1))
	})
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
	case !given("file") && (given("offset-file") || given("ids") || given("when-full")):
		return cli.Usagef("--offset-file, --ids and --when-full go with --file")
	case given("offset-file") && c.offsetFile == "":
		return cli.Usagef("--offset-file is given and empty")
	case given("ids") && c.ids != idsContent:
		return cli.Usagef("--ids %q: want %s", c.ids, idsContent)
	case c.whenFull != whenFullReject && c.whenFull != whenFullWait:
		return cli.Usagef("--when-full %q: want %s or %s", c.whenFull, whenFullReject, whenFullWait)
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
	case !given("file") && looksLikeArgs(args[0]):
		return cli.Usage(kindForgotten(args))
	case len(args) > 2 && c.checkWait(cmd, args) == nil:
		return cli.Usagef("want KIND and one JSON text, got %d arguments; quote the JSON: '{\"text\":\"hi\"}'", len(args))
	}
	if err := c.job.check(flags); err != nil {
		return err
	}
	if err := c.checkWait(cmd, args); err != nil {
		return err
	}
	if err := c.durable.check(flags); err != nil {
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
	config := queue.Config{MaxPayload: c.maxPayload, Durability: c.durable.Durability}
	if c.lifecycle {
		config.Lifecycle = []string{"*"}
	}
	if !c.quiet {
		config.Logger = cli.Warnings(cmd.ErrOrStderr(), cmd.Name())
	}
	return config
}

// idsContent is what --ids may say.
const idsContent = "content"

// parser answers how lines become jobs.
func (c *command) parser() parser[queue.Item] {
	if c.ids == idsContent {
		return parseWithContentID
	}
	return parseLine
}

// queueName is where jobs go that name no queue.
func (c *command) queueName() string {
	if c.job.queue == "" {
		return queue.DefaultQueue
	}
	return c.job.queue
}

// namespaceName is the namespace by its name, also where it is the default one.
func (c *command) namespaceName() string {
	if name := c.connection.Namespace(); name != "" {
		return name
	}
	return "tm"
}
