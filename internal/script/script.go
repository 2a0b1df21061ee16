// Package script is what all Lua scripts of ours share: their source and digest, how a call travels through go-redis, and how its
// undecoded reply is read.
package script

import (
	"crypto/sha1"
	"embed"
	"encoding/hex"
	"strings"
	"sync"
)

// Script is a script, which is put together when it is first used: most programs call few of them. Safe for concurrent use.
type Script struct {
	Name   string
	files  embed.FS
	parts  []string
	once   sync.Once
	source string
	digest string
	arg    any // the digest, boxed once
}

// New is the script of a name in the folder lua, behind the parts that it shares with others.
func New(files embed.FS, name string, shared ...string) *Script {
	return &Script{Name: name, files: files, parts: append(shared, name)}
}

// Source is its text.
func (s *Script) Source() string {
	s.once.Do(s.read)
	return s.source
}

// Digest is that by which the server caches it.
func (s *Script) Digest() string {
	s.once.Do(s.read)
	return s.digest
}

// Arg is its digest as a command takes it.
func (s *Script) Arg() any {
	s.once.Do(s.read)
	return s.arg
}

func (s *Script) read() {
	var text strings.Builder
	for _, part := range s.parts {
		b, err := s.files.ReadFile("lua/" + part + ".lua")
		if err != nil {
			panic(err) // embedded at build time: it cannot be missing
		}
		text.Write(b)
	}
	s.source = text.String()
	sum := sha1.Sum([]byte(s.source))
	s.digest = hex.EncodeToString(sum[:])
	s.arg = s.digest
}
