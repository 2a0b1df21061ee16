package doctor

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/tidemill/tidemill/internal/conn"
)

// host is one server that is looked at, with what it says of itself.
type host struct {
	conn.Node
	server   conn.Server
	info     map[string]string
	settings map[string]string
	found    []Finding
}

// settingsWanted are read one by one: a pattern for all of them would answer passwords too.
var settingsWanted = []string{"save", "appendfsync", "maxclients", "min-replicas-to-write", "slowlog-log-slower-than"}

// servers looks at every server that takes writes.
func (d *Doctor) servers(ctx context.Context, r *Report) error {
	nodes, err := d.set.Nodes(ctx)
	if err != nil {
		return err
	}
	for _, node := range nodes {
		h := &host{Node: node, settings: make(map[string]string)}
		if err := d.again(ctx, func() error { return h.ask(ctx) }); err != nil {
			return fmt.Errorf("redis at %s: %w", node.Addr, err)
		}
		h.version()
		h.role()
		if err := h.eviction(ctx); err != nil {
			return err
		}
		h.persistence()
		h.memory()
		h.connections()
		h.replication()
		if err := h.latency(ctx); err != nil {
			return err
		}
		h.slow(ctx)
		r.add(h.found...)
	}
	return nil
}

func (h *host) ask(ctx context.Context) (err error) {
	if h.server, err = h.Identify(ctx); err != nil {
		return err
	}
	if h.info, err = h.Info(ctx); err != nil {
		return err
	}
	for _, name := range settingsWanted {
		some, err := h.Settings(ctx, name)
		if err != nil {
			return err
		}
		for key, value := range some {
			h.settings[key] = value
		}
	}
	return nil
}

func (h *host) say(level Level, check, text, means string) {
	h.found = append(h.found, Finding{Level: level, Check: check, Server: h.Addr, Text: text, Means: means})
}

// hidden says that the server does not tell, or has no such thing.
func (h *host) hidden(check, what string) {
	reason := "the server hides " + what
	if h.server.Embedded() {
		reason = "the embedded server has no " + strings.TrimPrefix(what, "its ")
	}
	h.say(Unchecked, check, reason, "")
}

func (h *host) number(field string) (int64, bool) {
	n, err := strconv.ParseInt(h.info[field], 10, 64)
	return n, err == nil
}

// The oldest server that works, and those that are promised.
const (
	floorMajor, floorMinor   = 6, 2
	redisMajor, redisMinor   = 7, 0
	valkeyMajor, valkeyMinor = 7, 2
)

func (h *host) version() {
	major, minor := redisMajor, redisMinor
	if h.server.Kind == "valkey" {
		major, minor = valkeyMajor, valkeyMinor
	}
	switch {
	case h.server.Embedded():
		h.say(Note, "version", h.server.String(), "It is for trying out, and keeps everything in its process.")
	case !h.server.Known():
		h.hidden("version", "its version")
	case !h.server.AtLeast(floorMajor, floorMinor):
		h.say(Problem, "version", h.server.String(), fmt.Sprintf("Tidemill needs Redis %d.%d or newer.", floorMajor, floorMinor))
	case !h.server.AtLeast(major, minor):
		h.say(Warning, "version", h.server.String(), fmt.Sprintf("It works; promised are Redis %d.%d, Valkey %d.%d and newer.",
			redisMajor, redisMinor, valkeyMajor, valkeyMinor))
	default:
		h.say(OK, "version", h.server.String(), "")
	}
}

func (h *host) role() {
	switch role := h.info["role"]; role {
	case "master":
		h.say(OK, "role", "primary", "")
	case "":
		h.hidden("role", "its role")
	default:
		h.say(Problem, "role", "it is a replica of "+h.info["master_host"]+":"+h.info["master_port"], "It refuses writes; connect to the primary.")
	}
}

const mendEviction = "Mend it with: redis-cli CONFIG SET maxmemory-policy noeviction (and in its configuration file)."

func (h *host) eviction(ctx context.Context) error {
	policy, limit, err := h.Eviction(ctx)
	switch {
	case err != nil:
		return err
	case policy == "":
		h.hidden("eviction", "its eviction policy")
	case policy == "noeviction":
		h.say(OK, "eviction", policy, "")
	case limit == "0":
		h.say(Warning, "eviction", "maxmemory-policy is "+policy, "Harmless while maxmemory is 0; once it is set, jobs vanish when memory runs out. "+mendEviction)
	default:
		h.say(Problem, "eviction", "maxmemory-policy is "+policy, "Jobs vanish when memory runs out. "+mendEviction)
	}
	return nil
}

// persistence looks at what a restart, or a crash of the machine, would leave.
func (h *host) persistence() {
	const check = "persistence"
	if h.info["aof_enabled"] == "" {
		h.hidden(check, "persistence")
		return
	}
	for field, what := range map[string]string{"rdb_last_bgsave_status": "the last snapshot failed", "aof_last_write_status": "the last write to the append-only file failed",
		"aof_last_bgrewrite_status": "the last rewrite of the append-only file failed"} {
		if status := h.info[field]; status != "" && status != "ok" {
			h.say(Problem, check, what, "Redis may refuse writes until it succeeds; its log says why (a full disk, most often).")
		}
	}
	save, told := h.settings["save"]
	switch fsync := h.settings["appendfsync"]; {
	case h.info["aof_enabled"] == "1" && fsync == "always":
		h.say(OK, check, "append-only file, synced always", "")
	case h.info["aof_enabled"] == "1" && fsync == "no":
		h.say(Warning, check, "append-only file, synced when the system likes", "A crash of the machine may lose up to half a minute of what was acknowledged.")
	case h.info["aof_enabled"] == "1" && fsync == "":
		h.say(OK, check, "append-only file (when it is synced is hidden)", "")
	case h.info["aof_enabled"] == "1":
		h.say(Note, check, "append-only file, synced "+fsync, "A crash of the machine may lose the last second of what was acknowledged; a kill of Redis does not.")
	case told && save == "":
		h.say(Warning, check, "nothing is written to disk", "When Redis ends, every job is gone. Turn on appendonly.")
	default:
		h.say(Warning, check, fmt.Sprintf("snapshots alone; changes since the last: %s", h.info["rdb_changes_since_last_save"]),
			"A crash loses every job since the last snapshot, and runs again what ended since. Turn on appendonly.")
	}
}
