package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/internal/monitor"
	"github.com/tidemill/tidemill/internal/workerfile"
)

const healthHelp = `Asks the worker that listens (worker run --listen) whether it takes jobs, and prints the reasons if
it does not: for HEALTHCHECK in images without curl, and for people. It asks on this machine: where
--listen says, else TIDEMILL_LISTEN, else the listen of worker.yaml (-c, TIDEMILL_CONFIG), else
127.0.0.1:9090. An address that stands for all of the machine, such as :9090, is asked on the
loopback. --url asks elsewhere.

Exit codes: 0 it takes jobs; 1 it does not, or nobody answers; 2 usage.`

const healthExamples = `  worker health
  worker health --listen :9090 --live
  worker health --url http://10.0.0.7:9090 --json`

// healthCommand is `worker health`.
type healthCommand struct {
	*runCommand
	url     string
	live    bool
	asJSON  bool
	timeout time.Duration
}

func (c *command) newHealth() *cobra.Command {
	h := &healthCommand{runCommand: &runCommand{command: c}}
	cmd := &cobra.Command{
		Use: "health", Short: "Ask a worker that listens whether it takes jobs", Long: healthHelp, Example: healthExamples,
		Args: cobra.NoArgs, RunE: h.ask,
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&h.serving.listen, "listen", "", "the `HOST:PORT` that the worker was told (env "+envListen+", default "+monitor.DefaultAddress+")")
	flags.StringVar(&h.url, "url", "", "ask at this `URL` instead, such as http://10.0.0.7:9090")
	flags.StringVarP(&h.path, "config", "c", "", "`FILE` that the worker runs, for its listen (env "+envConfig+")")
	flags.BoolVar(&h.live, "live", false, "ask only whether it is alive (/livez)")
	flags.DurationVar(&h.timeout, "timeout", 3*time.Second, "how long to wait for an answer")
	flags.BoolVar(&h.asJSON, "json", false, "print the answer as one JSON object")
	_ = cmd.MarkFlagFilename("config", "yaml", "yml")
	return cmd
}

func (h *healthCommand) ask(cmd *cobra.Command, _ []string) error {
	if h.timeout <= 0 {
		return cli.Usagef("--timeout %v: allowed: more than 0", h.timeout)
	}
	base, err := h.base(cmd)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), h.timeout)
	defer cancel()
	answer, err := monitor.Ask(ctx, base, h.live)
	if err != nil {
		return err
	}
	if err := h.print(cmd.OutOrStdout(), answer); err != nil {
		return err
	}
	if !answer.OK {
		return &cli.Exit{Code: cli.CodeFailure}
	}
	return nil
}

// base is where to ask.
func (h *healthCommand) base(cmd *cobra.Command) (string, error) {
	if !cmd.Flags().Changed("url") {
		at, err := h.serving.place(cmd, nil)
		if err != nil {
			return "", err
		}
		if at.addr == "" {
			if at.addr, err = h.fromFile(cmd); err != nil {
				return "", err
			}
		}
		if _, port, _ := net.SplitHostPort(at.addr); port == "0" {
			return "", cli.Usagef("%q: port 0 is any free one: allowed is the port that the worker's log names, with --listen or --url", at.addr)
		}
		return "http://" + monitor.Reachable(at.addr), nil
	}
	if cmd.Flags().Changed("listen") {
		return "", cli.Usagef("--url and --listen both say where to ask; leave one out")
	}
	u, err := url.Parse(h.url)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", cli.Usagef("--url %q: allowed: http://HOST:PORT", h.url)
	}
	switch page := path.Base(u.Path); page {
	case "livez", "readyz", "metrics":
		return "", cli.Usagef("--url %q: leave out /%s: allowed: http://HOST:PORT, to which /readyz is added, or with --live /livez", h.url, page)
	}
	return h.url, nil
}

// fromFile is where the worker of a file listens. Other faults of the file are not this command's.
func (h *healthCommand) fromFile(cmd *cobra.Command) (string, error) {
	file, err := h.load(cmd)
	var faults workerfile.Faults
	switch {
	case errors.As(err, &faults) && !cmd.Flags().Changed("config"):
		return monitor.DefaultAddress, nil
	case err != nil:
		return "", err
	case file == nil || file.Listen == "":
		return monitor.DefaultAddress, nil
	}
	return file.Listen, nil
}

func (h *healthCommand) print(w io.Writer, a monitor.Answer) error {
	text := "ready"
	switch {
	case h.asJSON:
		text = strings.TrimSpace(string(a.Body))
	case h.live:
		text = "alive"
	case !a.OK:
		text = "not ready\n" + strings.Join(a.Reasons, "\n")
	}
	_, err := fmt.Fprintln(w, text)
	return err
}
