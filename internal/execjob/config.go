package execjob

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tidemill/tidemill/internal/supervise"
	"github.com/tidemill/tidemill/worker"
)

// DefaultKillAfter is how long a command may go on that was asked to end.
const DefaultKillAfter = 5 * time.Second

// Config is what to run and how.
type Config struct {
	// Command is argv; no shell reads it. A bare name is looked up in PATH when the handler is made; a relative path with a
	// separator in it begins at Dir.
	Command []string
	// Dir is the folder of the file that names the command, and the command's working folder; default: this process's.
	Dir string
	// Env adds variables, NAME=value, and PassEnv those of this process by name; Env wins. The command gets PATH, HOME, LANG
	// and TZ of this process and TIDEMILL_*, which neither may name, and nothing else.
	Env, PassEnv []string
	// Timeout bounds an attempt beside what the job itself says; 0 = not.
	Timeout time.Duration
	// KillAfter is the time between TERM and KILL; 0 = DefaultKillAfter. While the worker stops it is 1.5 s at most.
	KillAfter time.Duration
}

// reserved is how the names begin that only the handler sets.
const reserved = "TIDEMILL_"

// inherited are the variables that every command gets from this process.
var inherited = []string{"PATH", "HOME", "LANG", "TZ"}

// New makes the handler of a command, which must be there and executable. Errors: every fault of cfg, each naming its
// field.
func New(cfg Config, sup *supervise.Supervisor) (worker.Handler, error) {
	h, err := prepare(cfg)
	if err != nil {
		return nil, err
	}
	if sup == nil {
		return nil, errors.New("exec: no supervisor")
	}
	h.sup = sup
	return h.handle, nil
}

// Check answers every fault of a Config as New does.
func Check(cfg Config) error {
	_, err := prepare(cfg)
	return err
}

func prepare(cfg Config) (*handler, error) {
	h := &handler{timeout: cfg.Timeout, killAfter: cfg.KillAfter, losses: losses{jobs: make(map[jobID]int)}}
	if h.killAfter == 0 {
		h.killAfter = DefaultKillAfter
	}
	var faults []error
	bad := func(field string, value any, allowed string) {
		faults = append(faults, fmt.Errorf("%s: %v; allowed: %s", field, value, allowed))
	}
	if cfg.Timeout < 0 {
		bad("timeout", cfg.Timeout, "0 (none) or more")
	}
	if cfg.KillAfter < 0 {
		bad("kill_after", cfg.KillAfter, "0 (the default, 5s) or more")
	}
	var err error
	if h.command.Dir, err = filepath.Abs(cfg.Dir); err != nil {
		faults = append(faults, fmt.Errorf("dir: %w", err))
	}
	if h.command.Path, err = find(cfg.Command, h.command.Dir); err != nil {
		faults = append(faults, fmt.Errorf("command: %w", err))
	}
	h.command.Args = slices.Clone(cfg.Command)
	for i, arg := range cfg.Command {
		if strings.ContainsRune(arg, 0) {
			bad(fmt.Sprintf("command[%d]", i), fmt.Sprintf("%q", arg), "text without NUL bytes")
		}
	}
	env, envFaults := environment(cfg)
	h.command.Env = env
	return h, errors.Join(append(faults, envFaults...)...)
}

// environment is what every attempt's command gets: of two with one name the later counts.
func environment(cfg Config) (env []string, faults []error) {
	values := make(map[string]string)
	var names []string
	set := func(name, value string) {
		if _, there := values[name]; !there {
			names = append(names, name)
		}
		values[name] = value
	}
	for _, name := range append(slices.Clone(inherited), cfg.PassEnv...) {
		if fault := checkName(name); fault != "" {
			faults = append(faults, fmt.Errorf("pass_env: %q: %s", name, fault))
		} else if value, ok := os.LookupEnv(name); ok {
			set(name, value)
		}
	}
	given := make(map[string]bool)
	for _, entry := range cfg.Env {
		name, value, ok := strings.Cut(entry, "=")
		fault := checkName(name)
		switch {
		case !ok:
			fault = "no value; allowed: NAME=value"
		case fault != "":
		case strings.ContainsRune(value, 0):
			fault = "a NUL byte in the value; allowed: any other"
		case given[name]:
			fault = "given twice; allowed: each name once"
		}
		if fault != "" {
			faults = append(faults, fmt.Errorf("env: %q: %s", name, fault)) // not the value, which may be a secret
			continue
		}
		given[name] = true
		set(name, value)
	}
	for _, name := range names {
		env = append(env, name+"="+values[name])
	}
	return env, faults
}

// checkName answers what is wrong with a variable's name.
func checkName(name string) string {
	const allowed = "allowed: letters, digits and _, not beginning with a digit"
	if name == "" {
		return "empty name; " + allowed
	}
	for i, c := range []byte(name) {
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return "not a name; " + allowed
		}
	}
	if strings.HasPrefix(name, reserved) {
		return "names that begin with " + reserved + " are set by the worker; allowed: others"
	}
	return ""
}
