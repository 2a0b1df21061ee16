//go:build !unix

package main

import (
	"context"

	"github.com/tidemill/tidemill/worker"
)

// watchSignals does nothing: TSTP and TTIN are signals of Unix.
func watchSignals(*worker.Worker) (stop func()) { return func() {} }

// hangup never ends by itself: there is no such signal.
func hangup(parent context.Context) (context.Context, context.CancelFunc) {
	return context.WithCancel(parent)
}
