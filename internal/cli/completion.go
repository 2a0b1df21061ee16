package cli

import (
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// completions adds cobra's command completion, which would else be added as the command line is executed. Of a shell that
// it does not know cobra prints the help, with exit code 0: whoever sources that makes a shell run it.
func completions(root *cobra.Command) {
	root.InitDefaultCompletionCmd(os.Args[1:]...)
	for _, cmd := range root.Commands() {
		if cmd.Name() != "completion" {
			continue
		}
		var shells []string
		for _, shell := range cmd.Commands() {
			if shells = append(shells, shell.Name()); shell.Name() == "powershell" {
				shell.Aliases = []string{"pwsh"}
			}
		}
		cmd.Args = cobra.ArbitraryArgs
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return Usagef("no shell %q is known; allowed: %s", Clean(args[0]), strings.Join(shells, ", "))
		}
	}
}

// EachOfList makes completion of one word that of a list of them, separated by commas: what is there already is not
// offered again.
func EachOfList(one cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		at := strings.LastIndexByte(typed, ',') + 1
		found, directive := one(cmd, args, typed[at:])
		if at == 0 {
			return found, directive
		}
		var list []cobra.Completion
		for _, word := range found {
			if name, _, _ := strings.Cut(word, "\t"); !strings.Contains(","+typed[:at], ","+name+",") {
				list = append(list, typed[:at]+word)
			}
		}
		return list, directive
	}
}
