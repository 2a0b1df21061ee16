package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/queue"
)

// maxInput is the most that is read as one job: a line, or stdin for a single job.
const maxInput = 64 << 20

// noArgs is what a job without args carries.
const noArgs = "{}"

// payload answers a single job's JSON: the argument, stdin for "-", or {} where there is none.
func payload(args []string, stdin io.Reader) ([]byte, error) {
	text, what := []byte(noArgs), "JSON"
	if len(args) == 2 {
		text = []byte(args[1])
	}
	if len(args) == 2 && args[1] == "-" {
		var err error
		if text, err = io.ReadAll(io.LimitReader(stdin, maxInput+1)); err != nil {
			return nil, &cli.Exit{Code: cli.CodeFailure, Err: fmt.Errorf("stdin: %w", err)}
		}
		if what = "JSON from stdin"; len(text) > maxInput {
			return nil, cli.Usagef("%s: more than %d bytes", what, maxInput)
		}
		text = bytes.TrimPrefix(text, mark)
	}
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return nil, cli.Usagef("%s: it is empty; leave it out for {}", what)
	}
	if err := checkJSON(text); err != nil {
		return nil, cli.Usagef("%s: %w", what, err)
	}
	return text, nil
}

// looksLikeArgs tells a first argument that is no kind but what the kind is given.
func looksLikeArgs(text string) bool {
	text = strings.TrimSpace(text)
	return strings.HasPrefix(text, "{") || strings.HasPrefix(text, "[")
}

// shownArgs is how much of args is repeated where they are in the wrong place.
const shownArgs = 40

// kindForgotten says how a command line is written that begins with args.
func kindForgotten(args []string) error {
	kind, text := "KIND", strings.TrimSpace(args[0])
	if len(args) == 2 && !looksLikeArgs(args[1]) && args[1] != "-" && queue.CheckKind(args[1]) == nil {
		kind = args[1] // the two are swapped
	}
	form := "{...}"
	if text[0] == '[' {
		form = "[...]"
	}
	return fmt.Errorf("'%s' looks like args; the KIND comes first: enqueue %s '%s'", cli.Cut(cli.Clean(text), shownArgs), cli.Clean(kind), form)
}

// checkJSON says what is wrong with a JSON text, and where. Bytes that are no UTF-8 are refused: encoding/json takes
// them and replaces them, other readers fail on them.
func checkJSON(text []byte) error {
	if !utf8.Valid(text) {
		at := 0
		for {
			r, size := utf8.DecodeRune(text[at:])
			if r == utf8.RuneError && size == 1 {
				return fmt.Errorf("%s: byte 0x%02x is not UTF-8", position(text, at), text[at])
			}
			at += size
		}
	}
	if json.Valid(text) {
		return nil
	}
	var syntax *json.SyntaxError
	if err := json.Unmarshal(text, new(json.RawMessage)); errors.As(err, &syntax) {
		return fmt.Errorf("%s: %w", position(text, int(syntax.Offset)-1), err)
	}
	return errors.New("not valid")
}

// position names the place of a byte by line and column, counted from 1 in characters as editors do; the line only where
// there are several.
func position(text []byte, at int) string {
	before := text[:max(0, min(at, len(text)))]
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	if line := bytes.Count(before, []byte("\n")) + 1; line > 1 {
		return fmt.Sprintf("line %d, column %d", line, column)
	}
	return fmt.Sprintf("column %d", column)
}
