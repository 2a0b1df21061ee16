//go:build unix

package main

import (
	"context"
	"errors"
	"os"
	"testing"
)

// Whoever reads the lines and goes away ends the command, though there is nothing to write.
func TestReaderGone(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	ctx, stop := watchReader(t.Context(), w)
	defer stop()
	if ctx.Err() != nil {
		t.Fatal("it ended while somebody reads")
	}
	r.Close()
	<-ctx.Done()
	if !errors.Is(context.Cause(ctx), errReaderGone) {
		t.Errorf("ended with %v", context.Cause(ctx))
	}
	if _, err := w.WriteString("x"); !readerGone(err) {
		t.Errorf("a write says %v", err)
	}
}
