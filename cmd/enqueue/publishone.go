package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/pubsub"
)

// publishOne is `enqueue publish TOPIC JSON`.
func (p *publish) publishOne(cmd *cobra.Command, topic, text string) error {
	if err := checkJSON([]byte(text)); err != nil {
		err = fmt.Errorf("JSON: %w", err)
		if plainWord(text) {
			err = fmt.Errorf(`%w; a text is written with its quotes: '"%s"'`, err, text)
		}
		return cli.Usage(err)
	}
	ctx, _, stop := cli.Interruptible(cmd.Context())
	defer stop()
	client, send, err := p.open(ctx, cmd, topic)
	if err != nil {
		return err
	}
	// What was answered was answered: an error of closing changes nothing.
	defer func() { _ = client.Close() }()
	ids, err := send(ctx, []pubsub.Raw{pubsub.Raw(text)})
	if err != nil {
		var id uuid.UUID
		if len(ids) > 0 {
			id = ids[0]
		}
		return p.explain(err, id)
	}
	line := []byte(ids[0].String())
	if p.json {
		if line, err = json.Marshal(published{Topic: topic, ID: ids[0].String()}); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), string(line))
	return err
}

// published is what --json prints of a message.
type published struct {
	Topic string `json:"topic,omitempty"`
	Line  int    `json:"line,omitempty"` // of a stream
	ID    string `json:"id"`
}

// plainWord tells a text that lacks nothing but quotes.
func plainWord(text string) bool {
	return text != "" && len(text) <= shownArgs && text == cli.Clean(text) && !strings.ContainsAny(text, `"'\{[`)
}
