package broker

import (
	"crypto/sha1"
	"embed"
	"encoding/hex"
	"sync/atomic"
)

//go:embed lua/*.lua
var sources embed.FS

// script is one transition: its source behind the prelude, and the digest by which the server caches it.
type script struct {
	name, source, digest string
	replySize            atomic.Int64 // of the last reply that was large, bytes: what to make room for
}

func load(name string) *script {
	s := &script{name: name, source: read("prelude") + read(name)}
	sum := sha1.Sum([]byte(s.source))
	s.digest = hex.EncodeToString(sum[:])
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
	enqueueScript   = load("enqueue")
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
	pauseScript     = load("pause")
	getScript       = load("get")
	countsScript    = load("counts")
)
