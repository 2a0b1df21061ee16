// Command worker runs the jobs of Tidemill's queues with built-in handlers, shows and steers the queues, and brings
// everything along to try it: worker dev.
package main

import (
	"context"
	"os"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/internal/supervise"
)

func main() {
	if supervise.Main() { // this was the process that starts the commands of another
		return
	}
	os.Exit(cli.Run(context.Background(), newCommand()))
}
