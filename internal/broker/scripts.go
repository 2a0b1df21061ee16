package broker

import (
	"embed"
	"sync"
	"sync/atomic"

	"github.com/tidemill/tidemill/internal/script"
)

//go:embed lua/*.lua
var sources embed.FS

// transition is one script and what calls of it need.
type transition struct {
	*script.Script
	reads     bool         // it writes nothing, so that a replica may run it
	replySize atomic.Int64 // of the last reply that was large, bytes: what to make room for
}

// all has every script.
var all []*transition

// load reads a worker's or an operator's script.
func load(name string) *transition { return newTransition(name, "basics", "prelude", "moves") }

// loadHot is load for a script that is called so often that it makes what it shares only where it needs it (library.lua).
func loadHot(name string) *transition {
	return newTransition(name, "library", "basics", "prelude", "moves", "exchange_seldom", "library_end")
}

// loadReading is load for a script that writes nothing.
func loadReading(name string) *transition {
	s := load(name)
	s.reads = true
	return s
}

// loadAlone reads a script that needs the basics alone: what producers in other languages send must stay small.
func loadAlone(name string) *transition { return newTransition(name, "basics") }

// loadMending reads a script of the doctor.
func loadMending(name string) *transition {
	return newTransition(name, "basics", "prelude", "moves", "mending")
}

func newTransition(name string, shared ...string) *transition {
	s := &transition{Script: script.New(sources, name, shared...)}
	all = append(all, s)
	return s
}

var (
	enqueueScript   = loadAlone("enqueue")
	fenceScript     = loadAlone("fence")
	exchangeScript  = loadHot("exchange")
	failScript      = load("fail")
	promoteScript   = load("promote")
	heartbeatScript = load("heartbeat")
	recoverScript   = load("recover")
	nudgeScript     = load("nudge")
	sweepScript     = load("sweep")
	cancelScript    = load("cancel")
	deleteScript    = load("delete")
	redriveScript   = load("redrive")
	editScript      = load("edit")
	purgeScript     = load("purge")
	orderScript     = loadAlone("order")
	dropScript      = load("drop")
	pauseScript     = load("pause")
	getScript       = loadReading("get")
	listScript      = loadReading("list")
	countsScript    = loadReading("counts")
	peekScript      = loadReading("peek")
	examineScript   = loadReading("examine")
	untangleScript  = loadMending("untangle")
	requeueScript   = loadMending("requeue")
	entryScript     = loadMending("entry")
	clearScript     = loadMending("clear")
	recountScript   = loadMending("recount")
	adoptScript     = loadMending("adopt")
	asideScript     = loadMending("aside")
)

// ScriptName answers which of the scripts has a digest, "" for one that is none of them.
func ScriptName(digest string) string { return names()[digest] }

var names = sync.OnceValue(func() map[string]string {
	m := make(map[string]string, len(all))
	for _, s := range all {
		m[s.Digest()] = s.Name
	}
	return m
})
