package main

import (
	"fmt"
	"os"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/internal/monitor"
	"github.com/tidemill/tidemill/internal/workerfile"
)

// envListen stands in for the flag --listen.
const envListen = "TIDEMILL_LISTEN"

// place is where to listen and who said so; without an address nowhere.
type place struct{ addr, from string }

func (s *serving) addListen(flags *pflag.FlagSet) {
	flags.StringVar(&s.listen, "listen", "", "serve /livez, /readyz and /metrics on `HOST:PORT` (env "+envListen+", default: nowhere)")
}

// place decides where to listen: as the flag says, else the environment, else the file, which may be nil.
func (s *serving) place(cmd *cobra.Command, file *workerfile.File) (place, error) {
	given := cmd.Flags().Changed("listen")
	at := place{from: "default"}
	switch env := os.Getenv(envListen); {
	case given && s.listen == "":
		return at, cli.Usagef("--listen is given and empty; leave it out to listen nowhere")
	case given:
		at = place{s.listen, "--listen"}
	case env != "":
		at = place{env, envListen}
	case file != nil && file.Listen != "":
		return place{file.Listen, file.Name}, nil // checked, with its line
	default:
		return at, nil
	}
	if err := workerfile.CheckListen(at.addr); err != nil {
		return at, cli.Usagef("%s: %q %v", at.from, at.addr, err)
	}
	return at, nil
}

// takeListen decides where the worker listens.
func (p *plan) takeListen(cmd *cobra.Command, s *serving) (err error) {
	if p.listen, err = s.place(cmd, p.file); err != nil {
		return err
	}
	shown := p.listen.addr
	if shown == "" {
		shown = "nowhere"
	}
	p.settings = append(p.settings, p.placed(setting{Name: "listen", Value: shown, From: p.listen.from}))
	return nil
}

// open listens there, before anything else is tried: whoever asks is told that the worker starts.
func (at place) open(log zerolog.Logger) (*monitor.Server, error) {
	if at.addr == "" {
		return nil, nil
	}
	server, err := monitor.Listen(at.addr, log)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", at.from, err)
	}
	log.Info().Str("listen", server.Addr()).Msg("serves /livez, /readyz and /metrics")
	return server, nil
}
