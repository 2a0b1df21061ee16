package main

import (
	"io"
	"os"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/internal/workerfile"
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
type logging struct {
	level, format string
	fallback      workerfile.Log // what a file says
	from          string         // its name
}

func (l *logging) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&l.level, "log-level", "", "`level`: "+strings.Join(logLevels, ", ")+" (env "+envLogLevel+", default info)")
	flags.StringVar(&l.format, "log-format", "", "`format`: auto (pretty on a terminal, else json), pretty, json (env "+envLogFormat+")")
	// Registering fails only for a flag that does not exist.
	_ = cmd.RegisterFlagCompletionFunc("log-level", cobra.FixedCompletions(logLevels, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("log-format", cobra.FixedCompletions(logFormats, cobra.ShellCompDirectiveNoFileComp))
}

// choose decides level and format: the flag's word, else the environment's, else the file's, else the default.
func (l *logging) choose(cmd *cobra.Command) (level, format setting, err error) {
	level, err = l.pick(cmd, setting{"log.level", l.level, "log-level"}, envLogLevel, l.fallback.Level, logLevels, "info")
	if err != nil {
		return level, format, err
	}
	format, err = l.pick(cmd, setting{"log.format", l.format, "log-format"}, envLogFormat, l.fallback.Format, logFormats, "auto")
	return level, format, err
}

// pick decides one of them, in any case of letters. Given says the flag's name in From, and its value.
func (l *logging) pick(cmd *cobra.Command, given setting, env, file string, allowed []string, fallback string) (setting, error) {
	flag := given.From
	switch {
	case cmd.Flags().Changed(flag):
		given.From = "--" + flag
	case os.Getenv(env) != "":
		given.Value, given.From = os.Getenv(env), env
	case file != "":
		given.Value, given.From = file, l.from
	default:
		given.Value, given.From = fallback, "default"
	}
	for _, one := range allowed {
		if strings.EqualFold(given.Value, one) {
			given.Value = one
			return given, nil
		}
	}
	return given, cli.Usagef("%s: %q is not known; allowed: %s", given.From, given.Value, strings.Join(allowed, ", "))
}

// logger makes the process's logger on w. It sets the level and how zerolog writes times, which are one setting a process.
func (l *logging) logger(cmd *cobra.Command, w io.Writer) (zerolog.Logger, error) {
	level, format, err := l.choose(cmd)
	if err != nil {
		return zerolog.Nop(), err
	}
	zerolog.TimeFieldFormat = "2006-01-02T15:04:05.000Z07:00"
	if format.Value == "pretty" || format.Value == "auto" && cli.IsTerminal(w) {
		zerolog.DurationFieldFormat = zerolog.DurationFormatString
		w = zerolog.ConsoleWriter{Out: w, NoColor: !cli.Color(w), TimeFormat: "15:04:05.000", TimeLocation: time.Local,
			FieldsOrder: []string{"queue", "kind", "job_id", "attempt"}}
	}
	if err := setLevel(level.Value); err != nil {
		return zerolog.Nop(), err
	}
	return zerolog.New(w).With().Timestamp().Logger(), nil
}

// setLevel sets the level of the process: it can change while loggers are in use.
func setLevel(level string) error {
	parsed, err := zerolog.ParseLevel(level)
	if err != nil {
		return err // pick lets only known ones through
	}
	zerolog.SetGlobalLevel(parsed)
	return nil
}
