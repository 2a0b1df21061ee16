// Command enqueue puts jobs into Tidemill's queues from a shell: one by its kind and args, or a stream of JSON lines.
package main

import (
	"context"
	"os"

	"github.com/tidemill/tidemill/internal/cli"
)

func main() {
	os.Exit(cli.Run(context.Background(), newCommand()))
}
