package main

import (
	"context"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/internal/execjob"
	"github.com/tidemill/tidemill/internal/supervise"
	"github.com/tidemill/tidemill/internal/workerfile"
	"github.com/tidemill/tidemill/worker"
)

// launcher makes exec handlers. It has one supervisor, started when the first handler needs it; one that only checks
// starts none. Not for concurrent use.
type launcher struct {
	log        zerolog.Logger
	checks     bool
	supervisor *supervise.Supervisor
}

// handler makes the handler of a command, or says what is wrong with it.
func (l *launcher) handler(file *workerfile.File, spec *workerfile.Handler, line *handlerLine) (worker.Handler, []workerfile.Fault) {
	c := spec.Exec
	line.Exec = c.Command
	if c.Timeout > 0 {
		line.Timeout = brief(c.Timeout)
	}
	at := workerfile.Field("handlers", spec.Kind, "exec")
	if l.checks { // as loading the file did
		return builtins["noop"], nil
	}
	if l.supervisor == nil {
		supervisor, err := supervise.Start(context.Background(), l.log)
		if err != nil {
			return nil, []workerfile.Fault{file.Fault(at, err.Error())}
		}
		l.supervisor = supervisor
	}
	handler, err := execjob.New(execConfig(file, c), l.supervisor)
	if err != nil {
		return nil, execFaults(file, at, err)
	}
	return handler, nil
}

func execConfig(file *workerfile.File, c *workerfile.Exec) execjob.Config {
	return execjob.Config{Command: c.Command, Dir: file.Dir, Env: c.Env, PassEnv: c.PassEnv, Timeout: c.Timeout, KillAfter: c.KillAfter}
}

// checkExec is a workerfile.Check: the command must be there.
func checkExec(file *workerfile.File, spec *workerfile.Handler) []workerfile.Fault {
	if spec.Exec == nil {
		return nil
	}
	if err := execjob.Check(execConfig(file, spec.Exec)); err != nil {
		return execFaults(file, workerfile.Field("handlers", spec.Kind, "exec"), err)
	}
	return nil
}

// fieldOf finds the field that a fault of package execjob begins with.
var fieldOf = regexp.MustCompile(`^(command|env|pass_env|timeout|kill_after)(\[\d+\])?: `)

// execFaults places what package execjob found in the file.
func execFaults(file *workerfile.File, at string, err error) []workerfile.Fault {
	list := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		list = joined.Unwrap()
	}
	var faults []workerfile.Fault
	for _, one := range list {
		field, text := at, one.Error()
		if found := fieldOf.FindString(text); found != "" {
			field, text = at+"."+strings.TrimSuffix(found, ": "), text[len(found):]
		}
		faults = append(faults, file.Fault(field, text))
	}
	return faults
}

// close kills the commands that still run.
func (l *launcher) close() {
	if l.supervisor != nil {
		l.supervisor.Close()
	}
}

// launchLimits says what this system cannot do with commands; empty on Linux, and for a file that runs none.
func launchLimits(file *workerfile.File) string {
	if runtime.GOOS == "linux" || !slices.ContainsFunc(file.Handlers, func(h workerfile.Handler) bool { return h.Exec != nil }) {
		return ""
	}
	supervisor, err := supervise.Start(context.Background(), zerolog.Nop())
	if err != nil {
		return err.Error()
	}
	defer supervisor.Close()
	return supervisor.Limits()
}
