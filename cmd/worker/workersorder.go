package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/queue"
)

// order is what workers can be told.
type order struct {
	name, short, done string
	levels            bool                                                                   // the last argument is a log level
	do                func(client *queue.Client, ctx context.Context, instance string) error // "" = all
}

// orderCommand is `worker workers quiet` and its like.
type orderCommand struct {
	*command
	*order
	all, yes, json bool
	wait           time.Duration
	level          string
}

// orderAnswer is a worker that was told something, as JSON.
type orderAnswer struct {
	Instance string `json:"instance"`
	Order    string `json:"order"`
	Level    string `json:"level,omitempty"`
}

func (c *command) newOrder(of *order) *cobra.Command {
	o := &orderCommand{command: c, order: of}
	cmd := &cobra.Command{
		Use: of.name + " [INSTANCE... | --all]", Short: of.short, Args: o.checkArgs, ValidArgsFunction: c.completeWorkers, RunE: o.run,
		Long:    of.short + ".\n\nINSTANCE is the beginning of an id as \"worker workers list\" shows it.",
		Example: "  worker workers " + of.name + " 0197c1f0\n  worker workers " + of.name + " --all",
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&o.all, "all", false, "every worker of the namespace")
	if of.name == "stop" {
		flags.BoolVarP(&o.yes, "yes", "y", false, "with --all: do not ask")
		flags.DurationVar(&o.wait, "wait", 0, "wait until they have ended, at most this `duration`; exit code 124 when they have not")
		cmd.Long += " Running jobs may finish\nwithin the worker's drain time; what is left then goes back to its queue."
		cmd.Example = "  worker workers stop 0197c1f0 --wait 1m\n  worker workers stop --all --yes"
	}
	if of.levels {
		cmd.Use = of.name + " INSTANCE...|--all LEVEL"
		cmd.Long += "\nLEVEL is debug, info, warn or error, and holds until another one is set or the worker ends."
		cmd.Example = "  worker workers log-level 0197c1f0 debug\n  worker workers log-level --all info"
		cmd.ValidArgsFunction = c.completeLevels
	}
	flags.BoolVar(&o.json, "json", false, "print one JSON object a line")
	return cmd
}

func (o *orderCommand) checkArgs(cmd *cobra.Command, args []string) error {
	if o.levels {
		if len(args) == 0 || !slices.Contains(queue.LogLevels(), args[len(args)-1]) {
			last := ""
			if len(args) > 0 {
				last = fmt.Sprintf(", and %q is none", args[len(args)-1])
			}
			return cli.Usagef("the last argument is a log level%s; allowed: %s", last, strings.Join(queue.LogLevels(), ", "))
		}
		args, o.level = args[:len(args)-1], args[len(args)-1]
	}
	switch {
	case o.all && len(args) > 0:
		return cli.Usagef("give INSTANCE or --all, not both")
	case !o.all && len(args) == 0:
		return cli.Usagef("give INSTANCE, as \"worker workers list\" shows it, or --all")
	case o.wait < 0 || o.wait == 0 && cmd.Flags().Changed("wait"):
		return cli.Usagef("--wait %v: allowed: more than 0s", o.wait)
	}
	return noneEmpty(args)
}

func (o *orderCommand) run(cmd *cobra.Command, args []string) error {
	if o.levels {
		args = args[:len(args)-1]
	}
	agreed := &consent{yes: o.yes || o.name != "stop" || !o.all}
	if err := agreed.check(cmd); err != nil {
		return err
	}
	return o.with(cmd, func(ctx context.Context, client *queue.Client) error {
		list, err := client.Workers(ctx)
		if err != nil {
			return err
		}
		chosen := instances(slices.DeleteFunc(slices.Clone(list), func(w queue.WorkerInfo) bool { return !w.Alive }))
		if !o.all {
			if chosen, err = matching(args, instances(list)); err != nil {
				return err
			}
		}
		if len(chosen) == 0 {
			fmt.Fprintln(cmd.ErrOrStderr(), "no workers")
			return nil
		}
		if err := agreed.ask(ctx, cmd, fmt.Sprintf("Stop %s?", amount(int64(len(chosen)), "worker"))); err != nil {
			return err
		}
		for _, instance := range chosen {
			if err := o.tell(ctx, client, instance); err != nil {
				return fmt.Errorf("worker %s: %w", instance, err)
			}
			if o.json {
				err = printJSON(cmd.OutOrStdout(), orderAnswer{Instance: instance, Order: o.name, Level: o.level})
			} else {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), strings.TrimSpace(cli.Clean(instance)+" "+o.done+" "+o.level))
			}
			if err != nil {
				return err
			}
		}
		if o.wait > 0 {
			return waitForEnd(ctx, client, chosen, o.wait)
		}
		return nil
	})
}

func (o *orderCommand) tell(ctx context.Context, client *queue.Client, instance string) error {
	if o.levels {
		return client.SetWorkerLogLevel(ctx, instance, o.level)
	}
	return o.do(client, ctx, instance)
}

// matching answers the instances that the arguments are beginnings of.
func matching(args, all []string) (chosen []string, err error) {
	var faults []error
	for _, arg := range args {
		var found []string
		for _, instance := range all {
			if strings.HasPrefix(instance, strings.ToLower(arg)) {
				found = append(found, instance)
			}
		}
		switch {
		case len(found) == 0 && len(all) == 0:
			faults = append(faults, fmt.Errorf("no worker %q: there are none", arg))
		case len(found) == 0:
			faults = append(faults, fmt.Errorf("no worker %q; there are %s", arg, listed(all)))
		case len(found) > 1:
			faults = append(faults, fmt.Errorf("worker %q may be %s: type more of it", arg, listed(found)))
		case !slices.Contains(chosen, found[0]):
			chosen = append(chosen, found[0])
		}
	}
	return chosen, errors.Join(faults...)
}

// waitForEnd waits until none of the workers is there any more.
func waitForEnd(ctx context.Context, client *queue.Client, stopped []string, most time.Duration) error {
	limit := time.NewTimer(most)
	defer limit.Stop()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		list, err := client.Workers(ctx)
		if err != nil && !errors.Is(err, queue.ErrUnavailable) {
			return err
		}
		left := slices.DeleteFunc(list, func(w queue.WorkerInfo) bool { return !w.Alive || !slices.Contains(stopped, w.Instance) })
		if err == nil && len(left) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-limit.C:
			return &cli.Exit{Code: codeTimeout, Err: fmt.Errorf("still there after %v: %s", most, listed(instances(left)))}
		case <-tick.C:
		}
	}
}
