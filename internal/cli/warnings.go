package cli

import (
	"fmt"
	"io"

	"github.com/rs/zerolog"
)

// Warnings is a logger for tools that talk to people: one plain line on w for each warning, nothing else.
func Warnings(w io.Writer, program string) zerolog.Logger {
	return zerolog.New(zerolog.ConsoleWriter{
		Out:           w,
		NoColor:       true,
		PartsOrder:    []string{zerolog.MessageFieldName},
		FormatMessage: func(text any) string { return fmt.Sprintf("%s: warning: %v", program, text) },
	}).Level(zerolog.WarnLevel)
}
