package broker

import (
	"crypto/sha1"
	"embed"
	"encoding/hex"
	"sync/atomic"
)

//go:embed lua/*.lua
var sources embed.FS

// script is one transition: its source behind what it shares with others, and the digest by which the server caches it.
type script struct {
	name, source, digest string
	boxed                any          // digest, as a command takes it
	reads                bool         // it writes nothing, so that a replica may run it
	replySize            atomic.Int64 // of the last reply that was large, bytes: what to make room for
}

// names has every script's name by its digest.
var names = map[string]string{}

// load reads a worker's or an operator's script.
func load(name string) *script {
	return newScript(name, read("basics")+read("prelude")+read("moves")+read(name))
}

// loadReading is load for a script that writes nothing.
func loadReading(name string) *script {
	s := load(name)
	s.reads = true
	return s
}

// loadAlone reads a script that needs the basics alone: what producers in other languages send must stay small.
func loadAlone(name string) *script { return newScript(name, read("basics")+read(name)) }

// loadMending reads a script of the doctor.
func loadMending(name string) *script {
	return newScript(name, read("basics")+read("prelude")+read("moves")+read("mending")+read(name))
}

func newScript(name, source string) *script {
	s := &script{name: name, source: source}
	sum := sha1.Sum([]byte(s.source))
	s.digest = hex.EncodeToString(sum[:])
	s.boxed = s.digest
	names[s.digest] = name
	return s
}

func read(name string) string {
	b, err := sources.ReadFile("lua/" + name + ".lua")
	if err != nil {
		panic(err) // embedded at build time: it cannot be missing
	}
	return string(b)
}

var (
	enqueueScript   = loadAlone("enqueue")
	fenceScript     = loadAlone("fence")
	exchangeScript  = load("exchange")
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
func ScriptName(digest string) string { return names[digest] }
