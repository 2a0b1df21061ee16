package chaos

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// Words with which the lines of a ledger begin. Behind each stands the time in us, then:
const (
	wordStall = "stall" // us: for so long the machine let this process do nothing
	wordTry   = "try"   // name: it is about to be enqueued
	wordAck   = "ack"   // name, id: its enqueue was acknowledged
	wordNot   = "not"   // name, why: its enqueue failed, and nothing was done
	wordMaybe = "maybe" // name, why: its enqueue may have been carried out
	wordDup   = "dup"   // name, id: its enqueue was refused as a duplicate
	wordStart = "start" // name, id, token, attempt, crashes: an attempt starts
	wordEnd   = "end"   // name, id, token, outcome: its effect, on the handler's last line
	wordWill  = "will"  // name, verb: an operator is about to do something
	wordDid   = "did"   // name, verb: it was done
	wordBeen  = "been"  // name, verb: it was refused, nothing was done
)

// Outcomes of an attempt.
const (
	endOK     = "ok"
	endFail   = "fail"
	endSnooze = "snooze"
	endDead   = "dead"
	endDrain  = "drain"  // it was told that its worker stops
	endCancel = "cancel" // it was told that it is cancelled
	endLost   = "lost"   // it was told that the claim is lost
)

// ledger is the file of one life of a process. Each line, or batch of them, is one write(2): it is in the kernel's
// hands when the call returns, whatever happens to the process. Safe for concurrent use.
type ledger struct{ file *os.File }

func openLedger(path string) (*ledger, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return &ledger{file}, nil
}

// note writes one line of a word, the time, and the rest.
func (l *ledger) note(word string, rest ...any) error { return l.write(line(word, rest...)) }

func (l *ledger) write(lines string) error {
	_, err := l.file.WriteString(lines)
	return err
}

func line(word string, rest ...any) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %d", word, time.Now().UnixMicro())
	for _, field := range rest {
		text := strings.Join(strings.Fields(fmt.Sprint(field)), "_")
		b.WriteString(" " + text)
	}
	b.WriteString("\n")
	return b.String()
}
