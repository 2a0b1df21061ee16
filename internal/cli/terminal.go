package cli

import (
	"io"
	"os"

	"golang.org/x/term"
)

// IsTerminal tells whether a person is looking.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Color tells whether to use colours on w: it is a terminal that knows them, and NO_COLOR (see no-color.org) is not set.
func Color(w io.Writer) bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && IsTerminal(w)
}

type color string

const red color = "31"

// Paint colours a text where w shows colours.
func Paint(w io.Writer, c color, text string) string {
	if !Color(w) {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}
