package cli

import (
	"io"
	"os"
	"strconv"

	"golang.org/x/term"
)

// IsTerminal tells whether a person is looking, or typing.
func IsTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Width is how many cells wide lines on w may be: COLUMNS where it is set, else what the terminal says; 0 = no limit, where
// w is none.
func Width(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		return n
	}
	if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 {
		return n
	}
	return 80
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
