// Package cli is what the two binaries have in common: where Redis is, exit codes, signals, the version, and messages
// for people. It prints no URL with a password in it.
package cli
