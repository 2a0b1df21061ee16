package queue

import (
	"errors"
	"io"
	"testing"
	"time"
)

// Output goes with an error without changing what it is or says.
func TestWithOutput(t *testing.T) {
	if err := WithOutput(nil, "text"); err != nil {
		t.Errorf("no error became %v", err)
	}
	for _, err := range []error{
		WithOutput(Dead(io.ErrUnexpectedEOF), "text"), Dead(WithOutput(io.ErrUnexpectedEOF, "text")),
		WithOutput(WithOutput(io.ErrUnexpectedEOF, "inner"), "text"), RetryAfter(WithOutput(io.ErrUnexpectedEOF, "text"), time.Second),
	} {
		var output *OutputError
		if !errors.As(err, &output) || output.Output != "text" || err.Error() != "unexpected EOF" || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%#v", err)
		}
	}
	var dead *DeadError
	if !errors.As(WithOutput(Dead(io.EOF), "text"), &dead) {
		t.Error("the verdict is hidden")
	}
}
