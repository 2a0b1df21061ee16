package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/internal/devserver"
	"github.com/tidemill/tidemill/queue"
)

// banner is what `worker dev` says about itself once it is ready.
type banner struct {
	url       string
	server    *devserver.Server // nil: told of one
	namespace string
	queues    queuesValue
	kinds     []string // of the file's handlers, patterns among them; none: the built-in ones
}

func (b *banner) print(w io.Writer) error {
	var text strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&text, format+"\n", args...) }
	line("")
	line("  Redis    %s", b.redis())
	line("  queues   %s", b.queues.String())
	line("")
	line("  Enqueue jobs from another terminal:")
	line("")
	ways := commands()
	if len(b.kinds) == 0 {
		for _, way := range ways {
			line("    %s%s log %s", way("enqueue"), b.flags(), quoteJSON("hello", "world"))
		}
		line("    %s%s sleep %s", ways[0]("enqueue"), b.flags(), quoteJSON("duration", "3s"))
	}
	for _, kind := range b.kinds { // a pattern stands for any end
		line("    %s%s%s %s %s --wait", ways[0]("enqueue"), b.flags(), b.queueFlag(), strings.Replace(kind, "*", "example", 1), quoteJSON("text", "hello"))
	}
	line("    %s stats%s", ways[0]("worker"), b.flags())
	line("")
	if cli.Redact(b.url) != b.url {
		line("  with the password in place of ***.")
		line("")
	}
	if b.server != nil {
		for _, note := range b.server.Notes {
			line("  Note: %s.", note)
			line("")
		}
		if b.server.Embedded() {
			line("  NOTHING IS KEPT: this is the embedded server, and it forgets every job when it ends.")
			line("  To keep them, put redis-server or valkey-server on PATH (apt-get install redis-server,")
			line("  brew install redis) and run plain: worker dev")
			line("")
		}
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// redis says which server it is.
func (b *banner) redis() string {
	switch {
	case b.server == nil:
		return cli.Redact(b.url) + ", as told"
	case b.server.Embedded():
		return b.server.Addr + ", embedded in this process: FORGETS EVERYTHING AT EXIT"
	}
	return fmt.Sprintf("%s, started by this command (%s), keeps its data in %s", b.server.Addr, filepath.Base(b.server.Program), b.server.Dir)
}

// flags is what the commands of another terminal need beside their defaults.
func (b *banner) flags() string {
	out := ""
	if b.url != queue.DefaultURL {
		out += " --redis " + shellQuote(cli.Redact(b.url))
	}
	if b.namespace != "" {
		out += " --namespace " + b.namespace
	}
	return out
}

// queueFlag names a queue that is served, where that is not the usual one.
func (b *banner) queueFlag() string {
	for _, q := range b.queues.list {
		if q.Name == queue.DefaultQueue {
			return ""
		}
	}
	return " --queue " + b.queues.list[0].Name
}

// commands answers the ways to call the two binaries, best first. Whoever uses `go run` has no binaries on PATH.
func commands() []func(name string) string {
	plain := func(name string) string { return name }
	if !byGoRun() {
		if dir, ok := calledIn(os.Args[0]); ok {
			plain = func(name string) string { return shellQuote(dir + name) }
		}
		return []func(string) string{plain}
	}
	source := func(name string) string { return "go run github.com/tidemill/tidemill/cmd/" + name + "@latest" }
	if info, err := os.Stat(filepath.Join("cmd", "enqueue")); err == nil && info.IsDir() {
		source = func(name string) string { return "go run ./cmd/" + name }
	}
	return []func(string) string{source, plain}
}

// calledIn answers the folder that a program was called by, as it was typed, where the other binary is there too.
func calledIn(program string) (dir string, ok bool) {
	i := strings.LastIndexFunc(program, func(r rune) bool { return r < 0x80 && os.IsPathSeparator(uint8(r)) })
	if i < 0 {
		return "", false
	}
	dir = program[:i+1]
	info, err := os.Stat(dir + "enqueue" + filepath.Ext(program))
	return dir, err == nil && info.Mode().IsRegular()
}

// byGoRun tells whether this process was started by `go run`, which builds into a folder of that name and runs it there.
func byGoRun() bool {
	path, err := os.Executable()
	return err == nil && strings.Contains(filepath.ToSlash(path), "/go-build")
}

// shellQuote quotes a word where a shell would read something else.
func shellQuote(word string) string {
	if !strings.ContainsAny(word, "?&*()[]{}<>|;$`\\\"' !#~") {
		return word
	}
	if runtime.GOOS == "windows" {
		return `"` + word + `"`
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// quoteJSON is an object of one text as the system's shell wants it typed.
func quoteJSON(key, value string) string {
	if runtime.GOOS == "windows" {
		return fmt.Sprintf(`"{\"%s\":\"%s\"}"`, key, value)
	}
	return fmt.Sprintf(`'{"%s":"%s"}'`, key, value)
}
