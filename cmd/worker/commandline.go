package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tidemill/tidemill/internal/cli"
)

// commandLine is the command that cmd was called as, for people to call again: with its flags but those named, and with
// what is to be added. A password is left out.
func commandLine(cmd *cobra.Command, args, without []string, add ...string) string {
	words := append(strings.Fields(cmd.CommandPath()), args...)
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if !slices.Contains(without, f.Name) {
			words = append(words, flagWords(f)...)
		}
	})
	words = append(words, add...)
	for i, word := range words {
		if words[i] = shellQuote(word); word == "" {
			words[i] = "''"
		}
	}
	return strings.Join(words, " ")
}

func flagWords(f *pflag.Flag) (words []string) {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		for _, value := range list.GetSlice() {
			words = append(words, "--"+f.Name, value)
		}
		return words
	}
	switch {
	case f.Name == "redis":
		return []string{"--redis", cli.Redact(f.Value.String())}
	case f.Value.String() == "true":
		return []string{"--" + f.Name}
	case f.Value.Type() == "bool":
		return []string{"--" + f.Name + "=" + f.Value.String()}
	}
	return []string{"--" + f.Name, f.Value.String()}
}
