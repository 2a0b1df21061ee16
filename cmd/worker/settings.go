package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/queue"
)

// newSettings is `worker settings`: what holds for every worker of the namespace.
func (c *command) newSettings() *cobra.Command {
	var ttl time.Duration
	asJSON := false
	cmd := &cobra.Command{
		Use: "settings", Short: "Show or change what holds for all workers of the namespace", Args: arguments(),
		Example: "  worker settings\n  worker settings --session-ttl 10s   # adopted by workers when they start",
	}
	cmd.Flags().DurationVar(&ttl, "session-ttl", 0, "how long a worker may be out of touch before its jobs are taken back, 2s to 1h")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return c.with(cmd, func(ctx context.Context, client *queue.Client) error {
			if cmd.Flags().Changed("session-ttl") {
				if err := client.SetSessionTTL(ctx, ttl); err != nil {
					return err
				}
			}
			now, err := client.SessionTTL(ctx)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), struct {
					SessionTTL int64 `json:"session_ttl_ms"`
				}{now.Milliseconds()})
			}
			text := now.String()
			if now == 0 {
				text = "not set; the first worker sets it"
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "session TTL: %s\n", text)
			return err
		})
	}
	return cmd
}
