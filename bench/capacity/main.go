// Command capacity measures what a job costs a Redis: CPU time, network, memory and append-only file, by the size of its
// payload and by how jobs come. It keeps the figures in docs/capacity.json, writes the tables of docs/capacity.md from them, and
// prints what they predict for points that they were not taken at, beside what is measured there.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/tidemill/tidemill/bench/internal/rig"
)

// config is what the flags say.
type config struct {
	Runs   int           `json:"runs"`
	Scale  float64       `json:"scale"` // of the numbers of jobs
	Within time.Duration `json:"within_ns"`
	Doc    string        `json:"-"`
	Page   bool          `json:"-"`
}

func main() { rig.Program(steps, parentMain) }

// parentMain measures, or only writes the page anew, and returns the exit code: 0 done, 1 a step failed, 2 wrong usage.
func parentMain(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cfg, err := parseFlags(args, stderr)
	if err != nil {
		return rig.Misused(err, "capacity", stderr)
	}
	if !cfg.Page {
		return rig.Main(ctx, cfg.plan(stdout), stdout, stderr)
	}
	c, err := readConstants(cfg.Doc)
	if err == nil {
		err = writePage(cfg.Doc, c)
	}
	if err != nil {
		fmt.Fprintln(stderr, "capacity:", err)
		return 1
	}
	return 0
}

// parseFlags reads the command line and reports every fault at once.
func parseFlags(args []string, stderr io.Writer) (config, error) {
	var cfg config
	fs := flag.NewFlagSet("capacity", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.IntVar(&cfg.Runs, "runs", 3, "runs of everything, interleaved")
	fs.Float64Var(&cfg.Scale, "scale", 1, "factor for the numbers of jobs: less is quicker and less exact")
	fs.DurationVar(&cfg.Within, "within", 3*time.Minute, "begin no run that would likely end later than this; 0 is no bound")
	fs.StringVar(&cfg.Doc, "doc", "", "`directory` of capacity.json and capacity.md, which are written")
	fs.BoolVar(&cfg.Page, "page", false, "measure nothing; write the tables of capacity.md from capacity.json")
	if err := fs.Parse(args); err != nil {
		return cfg, err
	}
	var faults []error
	if fs.NArg() > 0 {
		faults = append(faults, fmt.Errorf("unexpected argument %q", fs.Arg(0)))
	}
	if cfg.Runs < 1 || cfg.Runs > 100 {
		faults = append(faults, fmt.Errorf("-runs: %d is not in 1 to 100", cfg.Runs))
	}
	if cfg.Scale < 0.001 || cfg.Scale > 10 {
		faults = append(faults, fmt.Errorf("-scale: %v is not in 0.001 to 10", cfg.Scale))
	}
	if cfg.Page && cfg.Doc == "" {
		faults = append(faults, errors.New("-page needs -doc"))
	}
	return cfg, errors.Join(faults...)
}

// plan is what to measure, for the rig; at the end the constants are kept and checked.
func (c config) plan(stdout io.Writer) rig.Plan {
	version := rig.ModuleVersion("github.com/redis/go-redis/v9")
	return rig.Plan{
		Runs: c.Runs, Within: c.Within, Config: c, Measures: c.measures(),
		Versions: map[string]string{"go-redis": version},
		Header:   []string{"go-redis " + version},
		Write: func(r *rig.Report) error {
			found, err := newConstants(r)
			if err != nil {
				return err
			}
			fmt.Fprint(stdout, "\n"+found.checkTable())
			if c.Doc == "" {
				return nil
			}
			if err := found.write(c.Doc); err != nil {
				return err
			}
			return writePage(c.Doc, found)
		},
	}
}

// The files in the directory that -doc names.
func constantsFile(dir string) string { return filepath.Join(dir, "capacity.json") }
func pageFile(dir string) string      { return filepath.Join(dir, "capacity.md") }
