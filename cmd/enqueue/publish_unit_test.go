package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/pubsub"
)

// flaky takes so many messages of each call, leaves so many unsure, and refuses the rest.
func flaky(taken, unsure int, fault error) publisher {
	return func(_ context.Context, data []pubsub.Raw) ([]uuid.UUID, error) {
		ids := make([]uuid.UUID, len(data))
		for i := range ids {
			if i < taken+unsure {
				ids[i] = uuid.UUID{15: byte(i + 1)}
			}
		}
		failed := len(data) - taken - unsure
		if failed+unsure <= 0 {
			return ids, nil
		}
		return ids, fmt.Errorf("publish: %w", &pubsub.BatchError{Failed: failed, Unknown: unsure, Of: len(data), First: fault})
	}
}

// broadcastOf sends an input through a publisher, at once: a reader that is held up is no pause.
func broadcastOf(t *testing.T, p *publish, send publisher, in io.Reader) (stdout, stderr string, err error) {
	t.Helper()
	cmd := &cobra.Command{}
	p.connection.AddFlags(cmd.Flags())
	var out, people bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&people)
	b := p.newBroadcast(cmd, send, nil)
	b.ctx = t.Context()
	err = b.report(pump(t.Context(), t.Context(), newStream(newSource(in), p.parse, time.Hour), b.run, b.say))
	return out.String(), people.String(), err
}

// What Redis has not taken is named by its lines, and what it may have taken too.
func TestPublishCutShort(t *testing.T) {
	const input = "1\n\nx\n2\n3\n4\n"
	const bad = "line 3: column 1: invalid character 'x' looking for beginning of value\n"
	gone := fmt.Errorf("%w: gone", pubsub.ErrUnavailable)
	unknown := fmt.Errorf("%w: %w: gone", pubsub.ErrUnavailable, pubsub.ErrOutcomeUnknown)
	for _, c := range []struct {
		name          string
		taken, unsure int
		fault         error
		code          int
		people, want  string
	}{
		{"all", 4, 0, nil, 1, bad + "published 4, rejected 1\n", "exit code 1"},
		{"none", 0, 0, gone, 3, "published 0, rejected 0\n", "Redis is lost: " + gone.Error() + "; the next line is 1"},
		{"two, the reject between them counted", 2, 0, gone, 3, bad + "published 2, rejected 1\n", "Redis is lost: " + gone.Error() + "; the next line is 5"},
		{"one, two unsure", 1, 2, unknown, 3, bad + "published 1, rejected 1\n", "Redis is lost: " + unknown.Error() + "; lines 4 to 5 may be published or not"},
		{"refused", 1, 0, pubsub.ErrNotPermitted, 1, bad + "published 1, rejected 1\n", pubsub.ErrNotPermitted.Error() +
			"; a user who may use no keys can publish with --live; the next line is 4"},
	} {
		_, people, err := broadcastOf(t, &publish{maxMessage: 100}, flaky(c.taken, c.unsure, c.fault), strings.NewReader(input))
		var exit *cli.Exit
		if !errors.As(err, &exit) || exit.Code != c.code || err.Error() != c.want || people != c.people {
			t.Errorf("%s: %v\n%swant %q\n%s", c.name, err, people, c.want, c.people)
		}
	}
}

func TestPublishIDs(t *testing.T) {
	out, people, err := broadcastOf(t, &publish{maxMessage: 4, json: true, quiet: true}, flaky(100, 0, nil), strings.NewReader(" 1 \n12345\n\n\"a\""))
	const want = `{"line":1,"id":"00000000-0000-0000-0000-000000000001"}` + "\n" + `{"line":4,"id":"00000000-0000-0000-0000-000000000002"}` + "\n"
	var exit *cli.Exit
	if out != want || people != "" || !errors.As(err, &exit) || exit.Code != cli.CodeFailure {
		t.Errorf("%v\n%s%s", err, out, people)
	}
}

func TestPublishLines(t *testing.T) {
	p := &publish{maxMessage: 8}
	for in, want := range map[string]string{
		"{}": "{}", " [1, 2]\r": "[1, 2]", "12345678": "12345678", "123456789": "9 bytes; allowed: up to 8 (--max-message)",
		"{": "column 1: unexpected end of JSON input", "\"\xff\"": "column 2: byte 0xff is not UTF-8",
	} {
		got, err := p.parse([]byte(in))
		if text := string(got); err == nil && text != want || err != nil && err.Error() != want {
			t.Errorf("%q: %q, %v; want %s", in, text, err, want)
		}
	}
}
