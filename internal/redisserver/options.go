package redisserver

import (
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
)

// Options says which server to start and how. The zero value starts the server
// that Find names, on a free port, in memory only.
type Options struct {
	// Binary is the server program. Empty means the one that Find returns.
	Binary string

	// Port is the TCP port on 127.0.0.1. Zero picks a free one, and picks again
	// when another process was quicker to take it.
	Port int

	// Dir is the working folder, where the append-only file and cluster state
	// live. It must exist. Empty means a temporary folder that is removed each
	// time the process ends, so a server without Dir remembers nothing.
	Dir string

	// AppendOnly turns the append-only file on. It needs Dir.
	AppendOnly bool

	// AppendFsync is "always", "everysec" or "no". Empty means "everysec".
	// It is used only when AppendOnly is set.
	AppendFsync string

	// UnixSocket is the path of a Unix socket to serve beside the port. Optional.
	UnixSocket string

	// Sentinel starts the program as a Sentinel, which holds no data. Extra says
	// what it watches. It needs Dir, where it keeps its own configuration.
	Sentinel bool

	// Extra holds raw configuration lines, such as "maxmemory 10mb". They come
	// last, so they win over everything above except the port.
	Extra []string

	// Log receives what the server prints. Optional. It is written to from a
	// goroutine of its own, one call at a time, and never after Done is closed.
	Log io.Writer
}

// withDefaults fills the gaps and reports every fault at once.
func (o Options) withDefaults() (Options, error) {
	var faults []error
	if o.Binary == "" {
		path, ok := Find()
		if !ok {
			faults = append(faults, fmt.Errorf("none of %s is on PATH", strings.Join(binaries, ", ")))
		}
		o.Binary = path
	} else if _, err := exec.LookPath(o.Binary); err != nil {
		faults = append(faults, fmt.Errorf("binary: %w", err))
	}
	if o.Port < 0 || o.Port > 65535 {
		faults = append(faults, fmt.Errorf("port %d is outside 0-65535", o.Port))
	}
	if o.AppendFsync == "" {
		o.AppendFsync = "everysec"
	}
	switch o.AppendFsync {
	case "always", "everysec", "no":
	default:
		faults = append(faults, fmt.Errorf("appendfsync %q is none of always, everysec, no", o.AppendFsync))
	}
	if o.AppendOnly && o.Dir == "" {
		faults = append(faults, errors.New("an append-only file needs a folder (Dir)"))
	}
	if o.Sentinel && (o.Dir == "" || o.AppendOnly) {
		faults = append(faults, errors.New("a Sentinel needs a folder (Dir) and has no append-only file"))
	}
	for _, line := range o.Extra {
		if strings.ContainsAny(line, "\r\n") {
			faults = append(faults, fmt.Errorf("config line %q holds a line break", line))
		}
	}
	if len(faults) > 0 {
		return o, fmt.Errorf("redisserver: options: %w", errors.Join(faults...))
	}
	return o, nil
}

// config is the text the server reads on its standard input.
func (o Options) config(port int, dir string) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("port %d", port)
	line("bind 127.0.0.1")
	line("dir %s", quote(dir))
	line("daemonize no")
	line(`logfile ""`)
	if o.Sentinel {
		for _, extra := range o.Extra {
			line("%s", extra)
		}
		return b.String()
	}
	line(`save ""`) // no snapshots: a fork and a dump.rdb that nobody asked for
	if o.AppendOnly {
		line("appendonly yes")
		line("appendfsync %s", o.AppendFsync)
	}
	if o.UnixSocket != "" {
		line("unixsocket %s", quote(o.UnixSocket))
	}
	for _, extra := range o.Extra {
		line("%s", extra)
	}
	return b.String()
}

// extra returns the value of the last Extra line that sets name, unquoted.
func (o Options) extra(name string) string {
	value := ""
	for _, line := range o.Extra {
		key, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if strings.EqualFold(key, name) {
			value = strings.Trim(strings.TrimSpace(rest), `"'`)
		}
	}
	return value
}

// quote writes a string the way redis.conf reads one between double quotes.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
