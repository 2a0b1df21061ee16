package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/pubsub"
)

const subscribeHelp = `Prints the messages of a topic, one JSON object a line, each as soon as it is there, until Ctrl-C:

  {"topic":"prices.gold","id":"0197c1f0-...","time":"2027-01-31T08:00:00.123456Z","data":{"bid":2410.5}}
  {"gap":{"from":"2027-01-31T08:00:00.123456Z","to":"2027-01-31T08:00:02.003141Z","reason":"..."}}

"data" is the JSON that was sent, byte for byte (but for line breaks between its parts, which become
spaces); what is no JSON is a JSON string, and "data_base64" where it is not UTF-8 either. A message that
no Tidemill client published, such as one of a plain PUBLISH, has an empty "id" and an empty "time".

--full adds "meta" where the message has metadata, and of a durable topic "position", its place in the
topic, with --durable also "attempt", which counts its deliveries.

A gap says that messages may be missing, and why: the connection was lost, or what reads the lines was
so slow that the buffer filled up (--buffer messages, as many again that wait up to a minute; then
messages are dropped and counted in the reason). The connection comes back by itself.

--pattern takes TOPIC for a glob: * ? [ab] of Redis. --sharded is for sharded topics.

--durable GROUP joins a group of a durable topic, and makes both where they are not there: each message
goes to one member of each group, at least once. It is acknowledged when its line is written; what was
not goes to another member, at once after Ctrl-C, within seconds after kill -9. A gap says that
--keep-count or --keep-for dropped messages before the group had them.

--from says where a new group begins: start (the oldest message that is kept; the default), now, a
position (what comes after it), or a time, such as 2h (ago) or 2027-01-31T08:00:00Z. Without --durable
it reads a durable topic from there on, past all groups, and goes on with what comes; with --no-follow
it ends where there is no more.

"subscribed to ..." on stderr says that no message from now on is missed, for scripts to wait for.

Exit codes: 0 ended by Ctrl-C or TERM, by --count or --no-follow, or because nobody reads the lines any
more; 1 failure, such as a topic that this user of Redis may not read; 2 usage; 69 Redis is unreachable
at the start or cannot be used.`

const subscribeExamples = `  worker subscribe prices.gold
  worker subscribe 'prices.*' --pattern | jq -c 'select(.data.bid > 2400)'
  worker subscribe orders --durable billing --from start
  worker subscribe orders --from 2h --no-follow > orders.jsonl
  worker subscribe deploys --count 1 -q`

const (
	// defaultBuffer is how many messages wait for whoever reads the lines.
	defaultBuffer = 16_384
	mostBuffer    = 1 << 24
	// blockFor is how long a message waits for room in a full buffer.
	blockFor = time.Minute
)

// subscribeCommand is `worker subscribe`.
type subscribeCommand struct {
	*command
	pattern  bool
	sharded  bool
	group    string
	from     string
	noFollow bool
	count    int
	buffer   int
	full     bool
	quiet    bool

	start pubsub.Start
}

func (c *command) newSubscribe() *cobra.Command {
	s := &subscribeCommand{command: c}
	cmd := &cobra.Command{
		Use: "subscribe TOPIC", Short: "Print the messages of a topic as JSON lines", Long: subscribeHelp, Example: subscribeExamples,
		Args: s.checkArgs, RunE: s.run, ValidArgsFunction: c.completeTopicFirst,
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&s.pattern, "pattern", false, "TOPIC is a glob, for all live topics whose names match")
	flags.BoolVar(&s.sharded, "sharded", false, "the topic is a sharded one (SSUBSCRIBE)")
	flags.StringVar(&s.group, "durable", "", "join this `group` of a durable topic")
	flags.StringVar(&s.from, "from", "", "begin `where` in a durable topic: start, now, a position or a time")
	flags.BoolVar(&s.noFollow, "no-follow", false, "with --from, without --durable: end where there is no more")
	flags.IntVar(&s.count, "count", 0, "end after `n` messages")
	flags.IntVar(&s.buffer, "buffer", defaultBuffer, "of a live topic: how many messages (`n`) wait for a slow reader")
	flags.BoolVar(&s.full, "full", false, "print metadata too, and of a durable topic position and attempt")
	flags.BoolVarP(&s.quiet, "quiet", "q", false, "print nothing on stderr but errors")
	_ = cmd.RegisterFlagCompletionFunc("durable", c.completeGroupOfTopic)
	_ = cmd.RegisterFlagCompletionFunc("from", cobra.FixedCompletions([]cobra.Completion{"start\tthe oldest message that is kept", "now\twhat comes",
		"1h\tan hour ago"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("count", cobra.NoFileCompletions)
	_ = cmd.RegisterFlagCompletionFunc("buffer", cobra.NoFileCompletions)
	return cmd
}

// checkArgs finds every fault of the command line that can be found without Redis.
func (s *subscribeCommand) checkArgs(cmd *cobra.Command, args []string) (err error) {
	given := cmd.Flags().Changed
	switch {
	case len(args) != 1:
		return cli.Usagef("want one TOPIC, got %d arguments; for several topics: --pattern", len(args))
	case args[0] == "":
		return cli.Usagef("TOPIC is given and empty")
	case s.pattern && s.sharded:
		return cli.Usagef("give --pattern or --sharded, not both: Redis has no patterns over sharded topics")
	case given("durable") && s.group == "":
		return cli.Usagef("--durable is given and empty: want the name of a group")
	case s.pattern && (given("durable") || given("from")):
		return cli.Usagef("--pattern is for live topics: leave out --durable and --from, or name one topic")
	case s.sharded && (given("durable") || given("from")):
		return cli.Usagef("a durable topic is read without --sharded, whoever else listens: leave it out, or --durable and --from")
	case s.noFollow && (!given("from") || given("durable")):
		return cli.Usagef("--no-follow goes with --from, without --durable")
	case given("count") && s.count < 1:
		return cli.Usagef("--count %d: want 1 or more", s.count)
	case given("buffer") && (given("durable") || given("from")):
		return cli.Usagef("--buffer is for live topics: what a durable one keeps is read no faster than it is printed")
	case s.buffer < 1 || s.buffer > mostBuffer:
		return cli.Usagef("--buffer %d: want 1 to %d messages", s.buffer, mostBuffer)
	}
	if given("from") {
		if s.start, err = parseStart(s.from, time.Now()); err != nil {
			return cli.Usage(fmt.Errorf("--from: %w", err))
		}
	}
	return s.connection.Check()
}

func (s *subscribeCommand) run(cmd *cobra.Command, args []string) error {
	config := pubsub.Config{}
	if !s.quiet {
		config.Logger = cli.Warnings(cmd.ErrOrStderr(), cmd.CommandPath())
	}
	return s.withTopicsOf(cmd, config, func(ctx context.Context, client *pubsub.Client) error {
		source, err := s.open(ctx, cmd, client, args[0])
		if err != nil {
			return err
		}
		reading, stop := watchReader(ctx, cmd.OutOrStdout())
		defer stop()
		err = untilStuck(reading, func() error { return s.follow(reading, cmd, source) })
		if reading.Err() != nil && (err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(reading))) {
			return nil // that is how it is meant to end
		}
		return err
	})
}

// stuckFor is how long the end waits for a line that nobody takes.
const stuckFor = time.Second

// untilStuck runs what may hang in a write: the end of ctx ends it all the same.
func untilStuck(ctx context.Context, do func() error) error {
	ended := make(chan error, 1)
	go func() { ended <- do() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(stuckFor):
		return nil
	}
}

// source is what a subscription of either kind yields.
type source struct {
	messages func(ctx context.Context) iter.Seq2[*pubsub.Message[pubsub.Raw], error]
	close    func()
	acks     bool // messages are to be acknowledged
}

// open subscribes.
func (s *subscribeCommand) open(ctx context.Context, cmd *cobra.Command, client *pubsub.Client, topic string) (source, error) {
	if s.group != "" || cmd.Flags().Changed("from") {
		return s.openDurable(ctx, cmd, client, topic)
	}
	var sub *pubsub.Subscription[pubsub.Raw]
	options := []pubsub.SubscribeOption{pubsub.Buffer(s.buffer), pubsub.WhenFull(pubsub.Block(blockFor))}
	what := "topic " + topic
	if s.pattern {
		pattern, err := pubsub.NewPattern[pubsub.Raw](client, topic)
		if err != nil {
			return source{}, err
		}
		if sub, err = pattern.Subscribe(ctx, options...); err != nil {
			return source{}, err
		}
		what = "the topics " + topic
	} else {
		var kind []pubsub.TopicOption
		if s.sharded {
			kind = append(kind, pubsub.Sharded())
		}
		live, err := pubsub.NewTopic[pubsub.Raw](client, topic, kind...)
		if err != nil {
			return source{}, err
		}
		if sub, err = live.Subscribe(ctx, options...); err != nil {
			return source{}, err
		}
		if strings.ContainsAny(topic, "*?[") {
			s.say(cmd, "a topic of just this name: for all that match, add --pattern")
		}
	}
	s.say(cmd, "subscribed to "+what)
	return source{messages: sub.All, close: sub.Close}, nil
}

// openDurable joins a group, or reads past all of them.
func (s *subscribeCommand) openDurable(ctx context.Context, cmd *cobra.Command, client *pubsub.Client, topic string) (source, error) {
	durable, err := pubsub.NewDurable[pubsub.Raw](client, topic)
	if err != nil {
		return source{}, err
	}
	if s.group == "" {
		if _, err := infoOf(ctx, client, topic); err != nil {
			return source{}, err
		}
		read := durable.Follow
		if s.noFollow {
			read = durable.Replay
		}
		s.say(cmd, "reading topic "+topic)
		return source{
			messages: func(ctx context.Context) iter.Seq2[*pubsub.Message[pubsub.Raw], error] { return read(ctx, s.start) },
			close:    func() {},
		}, nil
	}
	var options []pubsub.GroupOption
	if cmd.Flags().Changed("from") {
		options = append(options, pubsub.From(s.start))
		if there, err := hasGroup(ctx, client, topic, s.group); err != nil {
			return source{}, err
		} else if there {
			s.say(cmd, "group "+s.group+" is there already and goes on where it is: --from is for new ones")
		}
	}
	member, err := durable.Subscribe(ctx, s.group, options...)
	if err != nil {
		return source{}, err
	}
	s.say(cmd, "subscribed to topic "+topic+" in group "+s.group)
	return source{messages: member.All, close: member.Close, acks: true}, nil
}

func (s *subscribeCommand) say(cmd *cobra.Command, text string) {
	if !s.quiet {
		fmt.Fprintln(cmd.ErrOrStderr(), cli.Clean(text))
	}
}
