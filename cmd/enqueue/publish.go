package main

import (
	_ "embed"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/pubsub"
)

//go:embed publish.txt
var publishHelp string

const publishExamples = `  enqueue publish prices.gold '{"bid":2410.5}'
  enqueue publish orders '{"order":17}' --durable --keep-for 168h --meta tenant=acme
  tail -F /var/log/nginx/access.jsonl | enqueue publish access -
  enqueue publish orders - --rejects bad.jsonl < orders.jsonl
  enqueue -- publish '{"page":17}'    # a job of the kind publish`

// mostMaxMessage is the most that --max-message may say.
const mostMaxMessage = 64 << 20

// publish is `enqueue publish`.
type publish struct {
	connection cli.Connection
	durable    bool
	keepCount  intValue
	keepFor    durationValue
	sharded    bool
	live       bool
	id         string
	meta       []string
	rejects    string
	maxMessage int
	json       bool
	quiet      bool
}

func newPublish() *cobra.Command {
	p := &publish{}
	cmd := &cobra.Command{
		Use: "publish TOPIC JSON|-", Short: "Publish messages to a topic", Long: publishHelp, Example: publishExamples,
		Args: p.checkArgs, RunE: p.run, ValidArgsFunction: p.completeTopic, DisableFlagsInUseLine: true,
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&p.durable, "durable", false, "make the topic durable: its messages are kept in a stream")
	flags.Var(&p.keepCount, "keep-count", "with --durable: keep the newest n messages")
	flags.Var(&p.keepFor, "keep-for", "with --durable: keep messages so long, such as 168h")
	flags.BoolVar(&p.sharded, "sharded", false, "the topic is a sharded one (SPUBLISH)")
	flags.BoolVar(&p.live, "live", false, "only to those who are subscribed now, also where the topic is durable: touches no key")
	flags.StringVar(&p.id, "id", "", "the message's own id, a `UUID`; one message only (default: a new one)")
	flags.StringArrayVar(&p.meta, "meta", nil, "metadata as `key=value`, repeatable; of every message")
	flags.StringVar(&p.rejects, "rejects", "", "with -: write lines that were not accepted to `FILE`, with number and reason")
	flags.IntVar(&p.maxMessage, "max-message", pubsub.DefaultMaxMessage, "largest JSON of a message in `bytes`, at most 67108864")
	p.connection.AddFlags(flags)
	flags.BoolVar(&p.json, "json", false, "print the id of each message as a JSON object")
	flags.BoolVarP(&p.quiet, "quiet", "q", false, "print no progress, warnings, reasons or summary")
	for _, flag := range []string{"keep-count", "keep-for", "id", "meta", "max-message", "redis", "namespace"} {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.NoFileCompletions)
	}
	return cmd
}

// checkArgs finds every fault of the command line that can be found without Redis.
func (p *publish) checkArgs(cmd *cobra.Command, args []string) error {
	given := cmd.Flags().Changed
	stream := len(args) == 2 && args[1] == "-"
	switch {
	case len(args) < 2:
		return cli.Usage(topicForgotten(args))
	case len(args) > 2:
		return cli.Usagef("want TOPIC and one JSON text, got %d arguments; quote the JSON: '{\"text\":\"hi\"}'", len(args))
	case looksLikeArgs(args[0]):
		return cli.Usagef("'%s' looks like a message; the TOPIC comes first: enqueue publish TOPIC '{...}'", cli.Cut(cli.Clean(args[0]), shownArgs))
	case (given("keep-count") || given("keep-for")) && !p.durable:
		return cli.Usagef("--keep-count and --keep-for go with --durable")
	case given("keep-count") && p.keepCount.n < 1:
		return cli.Usagef("--keep-count %d: want 1 or more", p.keepCount.n)
	case given("keep-for") && p.keepFor.Duration < time.Second:
		return cli.Usagef("--keep-for %v: want 1s or more", p.keepFor.Duration)
	case p.durable && p.live:
		return cli.Usagef("give --durable or --live, not both")
	case given("rejects") && p.rejects == "":
		return cli.Usagef("--rejects is given and empty")
	case given("rejects") && !stream:
		return cli.Usagef("--rejects goes with -, a stream of messages from stdin")
	case given("id") && stream:
		return cli.Usagef("--id is for one message: each message of a stream has its own")
	case p.maxMessage < 1 || p.maxMessage > mostMaxMessage:
		return cli.Usagef("--max-message %d: want 1 to %d bytes", p.maxMessage, mostMaxMessage)
	}
	if given("id") {
		if id, err := uuid.Parse(p.id); err != nil || id == uuid.Nil {
			return cli.Usagef("--id %q: want a UUID that is not nil", p.id)
		}
	}
	for _, pair := range p.meta {
		if key, _, found := strings.Cut(pair, "="); !found || key == "" {
			return cli.Usagef("--meta %q: want key=value", pair)
		}
	}
	return p.connection.Check()
}

func (p *publish) run(cmd *cobra.Command, args []string) error {
	if args[1] == "-" {
		return p.publishStream(cmd, args[0])
	}
	return p.publishOne(cmd, args[0], args[1])
}

// options are those of each publish.
func (p *publish) options(flags *pflag.FlagSet) (out []pubsub.PublishOption) {
	if flags.Changed("id") {
		out = append(out, pubsub.MessageID(uuid.MustParse(p.id))) // checked
	}
	for _, pair := range p.meta {
		key, value, _ := strings.Cut(pair, "=")
		out = append(out, pubsub.Meta(key, value))
	}
	return out
}
