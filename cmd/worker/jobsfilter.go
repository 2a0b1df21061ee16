package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/queue"
)

// states are what --state takes. The first ones are all there are, in the order in which jobs go through them: one that
// moves while it is listed comes twice rather than not at all. Finished is the last three.
var (
	everyState = []queue.State{queue.Scheduled, queue.Suspect, queue.Ready, queue.Running, queue.DeadState, queue.Finished}
	states     = append(slices.Clone(everyState), queue.Succeeded, queue.Cancelled, queue.Expired)
)

// jobFilter is the flags that choose jobs of a queue.
type jobFilter struct {
	states       []string
	kinds        []string
	text         string
	since, until string
	meta         []string
	cursor       string
}

const filterHelp = `
Filters, of which all must fit:
  --state       one or more of STATES
  --kind        a kind, or the beginning of some: "image.*"; repeatable: a job of any of them fits
  --error       a part of the last error, in either case; # and … stand for what "jobs errors"
                masks, so that what it prints finds the jobs it counted
  --since and --until limit the state's own time: due for scheduled jobs, started for running
                ones, death for dead ones, end for finished ones, creation for the others. "2h" is
                two hours ago, "3d" three days, "+10m" in ten minutes; or RFC 3339
  --meta        metadata that the job was given: name=value; repeatable`

// help is the filters' part of a help text, for the states that a command works on.
func (f *jobFilter) help(allowed []queue.State) string {
	return strings.Replace(filterHelp, "STATES", joinStates(allowed), 1)
}

func joinStates(list []queue.State) string {
	names := make([]string, len(list))
	for i, s := range list {
		names[i] = string(s)
	}
	return strings.Join(names, ", ")
}

func (f *jobFilter) addFlags(cmd *cobra.Command, c *command, allowed []queue.State) {
	flags := cmd.Flags()
	flags.StringSliceVar(&f.states, "state", nil, "jobs in this `state`; repeatable, or separated by commas")
	flags.StringArrayVar(&f.kinds, "kind", nil, "jobs of this `kind`; with a * at its end, of all that begin so; repeatable")
	flags.StringVar(&f.text, "error", "", "jobs whose last error contains this `text`")
	flags.StringVar(&f.since, "since", "", "jobs whose time is this `time` or later")
	flags.StringVar(&f.until, "until", "", "jobs whose time is before this `time`")
	flags.StringArrayVar(&f.meta, "meta", nil, "jobs with this metadata, as `name=value`; repeatable")
	flags.StringVar(&f.cursor, "cursor", "", "go on behind this `place`, which an earlier call printed")
	_ = cmd.RegisterFlagCompletionFunc("state", cli.EachOfList(completeStates(allowed)))
	_ = cmd.RegisterFlagCompletionFunc("kind", c.completeKinds)
	for _, name := range []string{"error", "since", "until", "meta", "cursor"} {
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
}

// filterFlags are the flags of which one makes a command one on a filter.
var filterFlags = []string{"state", "kind", "error", "since", "until", "meta", "cursor"}

// given tells whether any of the flags was.
func (f *jobFilter) given(cmd *cobra.Command) bool {
	return slices.ContainsFunc(filterFlags, cmd.Flags().Changed)
}

// selection is what the flags choose: the states to go through, one after another, and what else must fit.
type selection struct {
	states  []queue.State
	options queue.ListOptions // of the state that comes first; the cursor is for that alone
}

// in are the options for one of the states.
func (s *selection) in(state queue.State) queue.ListOptions {
	o := s.options
	if o.State = state; state != s.states[0] {
		o.Cursor = ""
	}
	return o
}

// commandLine is the command that does the same for some of the states, at any time: times are absolute in it.
func (s *selection) commandLine(cmd *cobra.Command, name string, of []queue.State, add ...string) string {
	words := []string{"--state", joinStates(of)}
	words[1] = strings.ReplaceAll(words[1], " ", "")
	if t := s.options.Since; !t.IsZero() {
		words = append(words, "--since", t.UTC().Format(time.RFC3339Nano))
	}
	if t := s.options.Until; !t.IsZero() {
		words = append(words, "--until", t.UTC().Format(time.RFC3339Nano))
	}
	without := []string{"state", "since", "until", "cursor", "dry-run", "yes"}
	if slices.Contains(add, "--limit") {
		without = append(without, "limit")
	}
	return commandLine(cmd, []string{name}, without, append(words, add...)...)
}

// selection checks the flags. Without --state it answers the states otherwise.
func (f *jobFilter) selection(cmd *cobra.Command, allowed, otherwise []queue.State) (*selection, error) {
	for _, name := range filterFlags {
		if flag := cmd.Flags().Lookup(name); flag.Changed && (flag.Value.String() == "" || flag.Value.String() == "[]") {
			return nil, cli.Usagef("--%s is given and empty; leave it out for no such filter", name)
		}
	}
	s := &selection{states: otherwise}
	if len(f.states) > 0 {
		chosen, err := chosenStates(f.states, allowed)
		if err != nil {
			return nil, err
		}
		s.states = chosen
	}
	if f.cursor != "" && len(s.states) != 1 {
		return nil, cli.Usagef("--cursor is a place in one state: give that --state alone")
	}
	return s, f.fill(&s.options)
}

// chosenStates answers the states of these names, each once, in the order in which jobs go through them: see everyState.
func chosenStates(names []string, allowed []queue.State) (chosen []queue.State, err error) {
	wanted := make(map[queue.State]bool)
	for _, name := range names {
		state := queue.State(strings.ToLower(name))
		if !slices.Contains(allowed, state) {
			return nil, badState(name, allowed)
		}
		wanted[state] = true
	}
	for _, state := range states {
		part := state == queue.Succeeded || state == queue.Cancelled || state == queue.Expired
		if wanted[state] && !(part && wanted[queue.Finished]) {
			chosen = append(chosen, state)
		}
	}
	return chosen, nil
}

func badState(name string, allowed []queue.State) error {
	if !slices.Contains(states, queue.State(strings.ToLower(name))) {
		var all []string
		for _, s := range states {
			all = append(all, string(s))
		}
		if near := cli.Nearest(name, all); near != "" {
			return cli.Usagef("--state %q: no such state (did you mean %s?); allowed: %s", name, near, joinStates(allowed))
		}
	}
	return cli.Usagef("--state %q: allowed: %s", name, joinStates(allowed))
}

// fill makes options of all flags but --state.
func (f *jobFilter) fill(o *queue.ListOptions) (err error) {
	for _, kind := range f.kinds {
		switch i := strings.IndexByte(kind, '*'); {
		case kind == "":
			return cli.Usagef("--kind is given and empty; leave it out for no such filter")
		case strings.ContainsFunc(kind, unicode.IsSpace):
			return cli.Usagef("--kind %q: kinds hold no spaces; for several of them: --kind a --kind b", kind)
		case i >= 0 && i != len(kind)-1:
			return cli.Usagef("--kind %q: a * may stand at the end only", kind)
		}
	}
	o.Kind, o.Error, o.Cursor = strings.Join(f.kinds, " "), f.text, f.cursor
	now := time.Now()
	for _, x := range []struct {
		name, text string
		to         *time.Time
	}{{"since", f.since, &o.Since}, {"until", f.until, &o.Until}} {
		if x.text == "" {
			continue
		}
		if *x.to, err = parseMoment(x.text, now); err != nil {
			return cli.Usage(fmt.Errorf("--%s: %w", x.name, err))
		}
	}
	if !o.Since.IsZero() && !o.Until.IsZero() && !o.Since.Before(o.Until) {
		return cli.Usagef("--since %s is not before --until %s", f.since, f.until)
	}
	for _, pair := range f.meta {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return cli.Usagef("--meta %q: want name=value", pair)
		}
		if o.Meta == nil {
			o.Meta = make(map[string]string)
		}
		if old, twice := o.Meta[name]; twice && old != value {
			return cli.Usagef("--meta %s is given as %q and as %q; no job has both", name, old, value)
		}
		o.Meta[name] = value
	}
	return nil
}
