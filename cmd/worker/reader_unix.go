//go:build unix

package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// errReaderGone is why the context of watchReader ends.
var errReaderGone = errors.New("nobody reads the lines any more")

// watchReader answers a context that also ends when whatever reads w has gone, which a write would find out only with the
// next message. Until stop, a write to a broken pipe is an error and not the end of the process.
func watchReader(parent context.Context, w io.Writer) (ctx context.Context, stop func()) {
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	ctx, cancel := context.WithCancelCause(parent)
	if f, ok := w.(*os.File); ok {
		// Left behind at the end: a poll cannot be ended.
		go func() {
			if awaitHangup(int32(f.Fd())) {
				cancel(errReaderGone)
			}
		}()
	}
	return ctx, func() {
		signal.Stop(broken)
		cancel(nil)
	}
}

// awaitHangup waits until the other end of a file has gone. It is false where that cannot be told.
func awaitHangup(fd int32) bool {
	for {
		fds := []unix.PollFd{{Fd: fd}}
		_, err := unix.Poll(fds, -1)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil || fds[0].Revents&unix.POLLNVAL != 0:
			return false
		case fds[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0:
			return true
		default:
			return false
		}
	}
}

// readerGone tells an error of writing to whoever has gone.
func readerGone(err error) bool { return errors.Is(err, syscall.EPIPE) }
