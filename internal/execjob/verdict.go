package execjob

import (
	"fmt"

	"github.com/tidemill/tidemill/internal/supervise"
	"github.com/tidemill/tidemill/queue"
)

// What a command says by its exit status (as in sysexits.h).
const (
	exitDone  = 0
	exitDead  = 65 // EX_DATAERR: no further attempt would help
	exitRetry = 75 // EX_TEMPFAIL: as any other, and said on purpose
)

// verdict is what a command's end means: nil, an error that retries, or one that is dead. stopped is why it was told to end,
// nil if it was not: what it says by 0 and by 65 counts all the same.
func verdict(exit supervise.Exit, stopped error, last string) error {
	if last != "" {
		last = ": " + last
	}
	var err error
	switch {
	case exit.Signal != 0:
		err = fmt.Errorf("ended by signal %d (%v)%s", int(exit.Signal), exit.Signal, last)
	case exit.Code == exitDone:
		return nil
	case exit.Code == exitDead:
		return queue.Dead(fmt.Errorf("exit status %d (no retry)%s", exit.Code, last))
	case exit.Code == exitRetry:
		err = fmt.Errorf("exit status %d (retry)%s", exit.Code, last)
	default:
		err = fmt.Errorf("exit status %d%s", exit.Code, last)
	}
	if stopped != nil {
		return fmt.Errorf("%w: %w", stopped, err)
	}
	return err
}
