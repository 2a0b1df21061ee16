package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
)

// remarkNone tells that nothing fitted the filters, and what may have been meant by a kind.
func (f *jobFilter) remarkNone(cmd *cobra.Command) {
	text := "no job matches"
	for _, kind := range f.kinds {
		switch {
		case strings.Contains(kind, ","):
			text += "; several kinds are written --kind a --kind b"
		case !strings.HasSuffix(kind, "*"):
			text += fmt.Sprintf("; --kind %s is for all that begin with it", shellWord(kind+"*"))
		default:
			continue
		}
		break
	}
	fmt.Fprintln(cmd.ErrOrStderr(), cli.Clean(text))
}

// shellWord is a pattern as it is typed.
func shellWord(pattern string) string { return "'" + strings.ReplaceAll(pattern, "'", `'\''`) + "'" }

// remarkNarrow tells which columns of a table had no room on the terminal.
func remarkNarrow(cmd *cobra.Command, table *cli.Table) {
	out := table.LeftOut()
	if len(out) == 0 {
		return
	}
	text := fmt.Sprintf("(narrow terminal: %s left out; --json has all)", strings.Join(out, ", "))
	if len(text) > cli.Width(cmd.OutOrStdout()) {
		text = strings.Replace(text, "; ", ";\n", 1)
	}
	fmt.Fprintln(cmd.ErrOrStderr(), text)
}
