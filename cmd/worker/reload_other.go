//go:build !unix

package main

// hangups does nothing: HUP is a signal of Unix.
type hangups struct{}

func catchHangups() *hangups { return &hangups{} }

func (h *hangups) each(func()) {}

func (h *hangups) stop() {}
