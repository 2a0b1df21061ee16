package main

import (
	"io"
	"os"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
)

// Names of the environment variables that stand in for the flags.
const (
	envLogLevel  = "LOG_LEVEL"
	envLogFormat = "LOG_FORMAT"
)

var (
	logLevels  = []string{"debug", "info", "warn", "error"}
	logFormats = []string{"auto", "pretty", "json"}
)

// logging is the flags --log-level and --log-format.
type logging struct{ level, format string }

func (l *logging) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&l.level, "log-level", "", "`level`: "+strings.Join(logLevels, ", ")+" (env "+envLogLevel+", default info)")
	flags.StringVar(&l.format, "log-format", "", "`format`: auto (pretty on a terminal, else json), pretty, json (env "+envLogFormat+")")
	// Registering fails only for a flag that does not exist.
	_ = cmd.RegisterFlagCompletionFunc("log-level", cobra.FixedCompletions(logLevels, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("log-format", cobra.FixedCompletions(logFormats, cobra.ShellCompDirectiveNoFileComp))
}

// logger makes the process's logger on w. It sets how zerolog writes times, which is one setting a process.
func (l *logging) logger(cmd *cobra.Command, w io.Writer) (zerolog.Logger, error) {
	level, err := choose(cmd, "log-level", l.level, envLogLevel, "info", logLevels)
	if err != nil {
		return zerolog.Nop(), err
	}
	format, err := choose(cmd, "log-format", l.format, envLogFormat, "auto", logFormats)
	if err != nil {
		return zerolog.Nop(), err
	}
	zerolog.TimeFieldFormat = "2006-01-02T15:04:05.000Z07:00"
	if format == "pretty" || format == "auto" && cli.IsTerminal(w) {
		zerolog.DurationFieldFormat = zerolog.DurationFormatString
		w = zerolog.ConsoleWriter{Out: w, NoColor: !cli.Color(w), TimeFormat: "15:04:05.000", TimeLocation: time.Local,
			FieldsOrder: []string{"queue", "kind", "job_id", "attempt"}}
	}
	parsed, err := zerolog.ParseLevel(level)
	if err != nil {
		return zerolog.Nop(), err // choose lets only known ones through
	}
	return zerolog.New(w).Level(parsed).With().Timestamp().Logger(), nil
}

// choose answers a flag's value, else the environment's, else the fallback: one of allowed, in any case.
func choose(cmd *cobra.Command, flag, value, env, fallback string, allowed []string) (string, error) {
	name := "--" + flag
	if !cmd.Flags().Changed(flag) {
		if value, name = os.Getenv(env), env; value == "" {
			return fallback, nil
		}
	}
	for _, one := range allowed {
		if strings.EqualFold(value, one) {
			return one, nil
		}
	}
	return "", cli.Usagef("%s: %q is not known; allowed: %s", name, value, strings.Join(allowed, ", "))
}
