package bus

import (
	"errors"
	"io"
	"testing"

	"github.com/tidemill/tidemill/internal/conn"
)

// The reason of a gap is short; callers can tell what it was all the same.
func TestLostError(t *testing.T) {
	err := error(&lostError{io.EOF})
	if err.Error() != "connection lost: EOF" || !errors.Is(err, conn.ErrUnavailable) || !errors.Is(err, io.EOF) {
		t.Errorf("%v", err)
	}
	if strange := errors.New("strange"); errors.Is(&lostError{strange}, conn.ErrUnavailable) || !errors.Is(&lostError{strange}, strange) {
		t.Error("what is no trouble of the network is taken for it")
	}
}
