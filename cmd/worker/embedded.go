package main

import (
	"net"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
)

// checkEmbedded checks the flag --embedded.
func (d *devCommand) checkEmbedded(cmd *cobra.Command) error {
	const form = "want HOST:PORT, such as 127.0.0.1:6379 or 127.0.0.1:0 for any free port"
	flag := cmd.Flags().Lookup("embedded")
	if !flag.Changed {
		return nil
	}
	if redis := cmd.Flags().Lookup("redis"); redis.Changed {
		return cli.Usagef("give --redis or --embedded, not both")
	}
	_, port, err := net.SplitHostPort(d.embedded)
	if err != nil {
		return cli.Usagef("--embedded %q: %s", d.embedded, form)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return cli.Usagef("--embedded %q: port %q: %s", d.embedded, port, form)
	}
	return nil
}
