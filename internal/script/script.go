// Package script is what all Lua scripts of ours share: their source and digest, how a call travels through go-redis, and how its
// undecoded reply is read.
package script

import (
	"crypto/sha1"
	"embed"
	"encoding/hex"
)

// Script is a script: its source, and the digest by which the server caches it.
type Script struct{ Name, Source, Digest string }

// Load reads the script of a name from the folder lua, behind the parts that it shares with others.
func Load(files embed.FS, name string, shared ...string) Script {
	s := Script{Name: name}
	for _, part := range append(shared, name) {
		b, err := files.ReadFile("lua/" + part + ".lua")
		if err != nil {
			panic(err) // embedded at build time: it cannot be missing
		}
		s.Source += string(b)
	}
	sum := sha1.Sum([]byte(s.Source))
	s.Digest = hex.EncodeToString(sum[:])
	return s
}
