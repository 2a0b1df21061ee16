package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Run executes a command line and answers the exit code. What a command returns is printed once, behind the program's
// name; a bare error of a command is a failure (1), and one of cobra's own is one of usage (2).
func Run(ctx context.Context, root *cobra.Command) int {
	root.SilenceErrors, root.SilenceUsage = true, true
	root.Version = Version()
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.SetFlagErrorFunc(flagError)
	completions(root)
	prepare(root)
	cmd, err := root.ExecuteContextC(ctx)
	if isCobras(err) {
		err = Usage(err)
	}
	return Report(root.ErrOrStderr(), cmd.CommandPath(), err)
}

// isCobras tells an error that no command of ours returned.
func isCobras(err error) bool {
	var (
		exit   *Exit
		usage  *usageError
		signal *SignalError
	)
	return err != nil && !errors.As(err, &exit) && !errors.As(err, &usage) && !errors.As(err, &signal)
}

// prepare makes the bare errors of commands failures, so that those of cobra can be told from them.
func prepare(cmd *cobra.Command) {
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			err := run(cmd, args)
			if isCobras(err) {
				err = &Exit{Code: CodeFailure, Err: err}
			}
			return err
		}
	}
	for _, child := range cmd.Commands() {
		prepare(child)
	}
}

// flagError adds to an unknown flag the one that was probably meant.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() == "" {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if name := Nearest(unknown.GetSpecifiedName(), names); name != "" {
			err = fmt.Errorf("%w (did you mean --%s?)", err, name)
		}
	}
	return Usage(invalidValue(err))
}
