//go:build !unix

package main

import (
	"context"
	"errors"
	"io"
	"syscall"
)

// watchReader ends with its parent: that nobody reads w any more is found out by a write.
func watchReader(parent context.Context, _ io.Writer) (ctx context.Context, stop func()) {
	return context.WithCancel(parent)
}

// What Windows calls a pipe whose other end is closed.
const (
	errorBrokenPipe = syscall.Errno(109)
	errorNoData     = syscall.Errno(232)
)

// readerGone tells an error of writing to whoever has gone.
func readerGone(err error) bool {
	return errors.Is(err, errorBrokenPipe) || errors.Is(err, errorNoData) || errors.Is(err, syscall.EPIPE)
}
