package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"time"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/internal/webhook"
	"github.com/tidemill/tidemill/internal/workerfile"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// execRetain is how long the output of a command is kept as result unless the file says otherwise.
const execRetain = time.Hour

// handlers are what a file's jobs are run by.
type handlers struct {
	mux   *worker.Mux
	hooks map[string]*hook // by kind
	lines []handlerLine
}

// hook is an http handler with what it was made of, so that a reload that leaves it as it was keeps its connections.
type hook struct {
	made    workerfile.HTTP
	handler *webhook.Handler
}

// handlerLine is one handler for people and for --json.
type handlerLine struct {
	Kind        string   `json:"kind"`
	Exec        []string `json:"exec,omitempty"` // the command, its program as it was found
	HTTP        string   `json:"http,omitempty"` // where to; what follows the host may be secret
	Signed      bool     `json:"signed,omitempty"`
	Builtin     string   `json:"builtin,omitempty"`
	MaxAttempts int      `json:"max_attempts"`
	Base        string   `json:"base"`
	Cap         string   `json:"cap"`
	Timeout     string   `json:"timeout,omitempty"`
	Retain      string   `json:"retain,omitempty"`
}

// build makes the handlers of a file, or without one the built-in ones. Handlers that old had alike are used again. The
// error is Faults of the file.
func build(file *workerfile.File, launcher *launcher, old *handlers) (*handlers, error) {
	h := &handlers{mux: worker.NewMux(), hooks: make(map[string]*hook)}
	if file == nil {
		addBuiltins(h.mux)
		return h, nil
	}
	var faults []workerfile.Fault
	for i := range file.Handlers {
		spec := &file.Handlers[i]
		line := handlerLine{Kind: spec.Kind}
		handler, err := h.one(file, spec, launcher, old, &line)
		if err != nil {
			faults = append(faults, err...)
			continue
		}
		h.mux.HandleKind(spec.Kind, handler, options(spec, &line)...)
		h.lines = append(h.lines, line)
	}
	if err := file.Faults(faults); err != nil {
		h.closeUnless(old)
		return nil, cli.Usage(err)
	}
	return h, nil
}

// one makes one handler, or says what is wrong with it.
func (h *handlers) one(file *workerfile.File, spec *workerfile.Handler, launcher *launcher, old *handlers, line *handlerLine) (worker.Handler, []workerfile.Fault) {
	switch {
	case spec.Exec != nil:
		return launcher.handler(file, spec, line)
	case spec.HTTP != nil:
		return h.hook(file, spec, old, line)
	}
	line.Builtin = spec.Builtin
	return builtins[spec.Builtin], nil
}

// hook makes an http handler.
func (h *handlers) hook(file *workerfile.File, spec *workerfile.Handler, old *handlers, line *handlerLine) (worker.Handler, []workerfile.Fault) {
	c := spec.HTTP
	line.HTTP, line.Signed, line.Timeout = host(c.URL), c.Signing() != nil, brief(cmp.Or(c.Timeout, webhook.DefaultTimeout))
	if old != nil {
		if same := old.hooks[spec.Kind]; same != nil && reflect.DeepEqual(same.made, *c) && c.CAFile == "" {
			h.hooks[spec.Kind] = same
			return same.handler.Handle, nil
		}
	}
	handler, err := newHook(c)
	if err != nil {
		return nil, hookFaults(file, spec.Kind, err)
	}
	h.hooks[spec.Kind] = &hook{made: *c, handler: handler}
	return handler.Handle, nil
}

func newHook(c *workerfile.HTTP) (*webhook.Handler, error) {
	return webhook.New(webhook.Config{URL: c.URL, Secret: c.Signing(), Bearer: c.Bearer(), Timeout: c.Timeout, MaxPerHost: c.MaxPerHost,
		PrivateAddresses: c.PrivateAddresses, Headers: c.Headers, MaxResult: c.MaxResult, CAFile: c.CAFile, UserAgent: "tidemill"})
}

// checkHook is a workerfile.Check: the settings of an http handler.
func checkHook(file *workerfile.File, spec *workerfile.Handler) []workerfile.Fault {
	if spec.HTTP == nil {
		return nil
	}
	handler, err := newHook(spec.HTTP)
	if err != nil {
		return hookFaults(file, spec.Kind, err)
	}
	handler.Close()
	return nil
}

// loadFile reads worker.yaml and checks what it runs, so that all faults are told at once.
func loadFile(path string) (*workerfile.File, error) {
	return workerfile.Load(path, checkExec, checkHook)
}

// hookFaults places what package webhook found in the file.
func hookFaults(file *workerfile.File, kind string, err error) []workerfile.Fault {
	at := workerfile.Field("handlers", kind, "http")
	var found webhook.Faults
	if !errors.As(err, &found) {
		return []workerfile.Fault{file.Fault(at, err.Error())}
	}
	var faults []workerfile.Fault
	for _, f := range found {
		field := at + "." + f.Field
		for _, other := range []string{"secret", "bearer"} {
			if f.Field == other && file.Has(at+"."+other+"_file") {
				field += "_file"
			}
		}
		faults = append(faults, file.Fault(field, f.Text))
	}
	return faults
}

// options are what holds for a handler's jobs that bring nothing of their own.
func options(spec *workerfile.Handler, line *handlerLine) []worker.HandleOption {
	var list []worker.HandleOption
	policy, own := spec.Policy()
	if own {
		list = append(list, worker.Retry(policy))
	} else {
		policy = workerfile.DefaultPolicy
	}
	line.MaxAttempts = queue.DefaultMaxAttempts
	if own && spec.Retry.MaxAttempts > 0 {
		line.MaxAttempts = spec.Retry.MaxAttempts
		list = append(list, worker.MaxAttempts(spec.Retry.MaxAttempts))
	}
	line.Base, line.Cap = brief(policy.Base), brief(policy.Cap)
	retain := time.Duration(0)
	if spec.Exec != nil {
		retain = execRetain
	}
	if spec.Retain != nil {
		retain = *spec.Retain
	}
	if retain > 0 {
		line.Retain = brief(retain)
		list = append(list, worker.RetainResult(retain))
	}
	if spec.Timeout > 0 {
		if line.Timeout == "" {
			line.Timeout = brief(spec.Timeout)
		}
		list = append(list, worker.Timeout(spec.Timeout))
	}
	return list
}

// closeUnless gives up what another does not use.
func (h *handlers) closeUnless(other *handlers) {
	for kind, one := range h.hooks {
		if other == nil || other.hooks[kind] != one {
			one.handler.Close()
		}
	}
}

// host is where a URL points, without what may be secret.
func host(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "?"
	}
	shown := u.Scheme + "://" + u.Host
	if strings.Trim(u.Path, "/") != "" {
		shown += "/..."
	}
	return shown
}

// String is the line for people, without the kind.
func (l handlerLine) String() string {
	var b strings.Builder
	switch {
	case len(l.Exec) > 0:
		b.WriteString("exec " + inWords(l.Exec))
	case l.HTTP != "":
		b.WriteString("POST " + l.HTTP)
		if l.Signed {
			b.WriteString(", signed")
		}
	default:
		b.WriteString("built-in " + l.Builtin)
	}
	fmt.Fprintf(&b, "; %d attempts, %s to %s apart", l.MaxAttempts, l.Base, l.Cap)
	if l.Timeout != "" {
		b.WriteString("; timeout " + l.Timeout)
	}
	if l.Retain != "" {
		b.WriteString("; result kept " + l.Retain)
	}
	return b.String()
}

// inWords is a command with quotes where a word needs them.
func inWords(command []string) string {
	words := make([]string, len(command))
	for i, word := range command {
		if words[i] = word; word == "" || strings.ContainsFunc(word, func(r rune) bool { return r <= ' ' || r == '"' || r == '\'' || r == 0x7f }) {
			words[i] = fmt.Sprintf("%q", word)
		}
	}
	return strings.Join(words, " ")
}
