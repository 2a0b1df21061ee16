package chaos

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ReadLedgers adds what the ledgers in a folder say. A line that is not whole is an error: each was one write.
func (h *History) ReadLedgers(dir string) error {
	paths, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		return err
	}
	for _, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		err = h.readLedger(strings.TrimSuffix(filepath.Base(path), ".log"), file)
		file.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func (h *History) readLedger(process string, r io.Reader) error {
	lines := bufio.NewReader(r)
	for n := 1; ; n++ {
		text, err := lines.ReadString('\n')
		if err == io.EOF && text == "" {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s.log: line %d is torn: %q", process, n, text)
		}
		f := &fields{rest: strings.Fields(text)}
		h.take(process, f)
		if f.bad || len(f.rest) > 0 {
			return fmt.Errorf("%s.log: line %d makes no sense: %q", process, n, text)
		}
	}
}

// take adds one line.
func (h *History) take(process string, f *fields) {
	word, at := f.word(), f.number()
	if word == wordStall {
		h.Strikes = append(h.Strikes, Strike{Kind: Starved, Process: process, From: at - f.number(), To: at})
		return
	}
	j := h.job(f.word())
	switch word {
	case wordTry:
		j.Fate = max(j.Fate, Maybe)
		j.tried++
	case wordAck:
		j.Fate = Acked
		j.Acks++
		j.seen(f.word())
	case wordMaybe:
		j.unknown++
		f.word()
	case wordNot:
		j.refused++
		f.word()
	case wordDup:
		j.Dups++
		j.seen(f.word())
	case wordWill, wordDid, wordBeen:
		f.bad = !j.op(word, f.word(), at) || f.bad
	case wordStart:
		j.seen(f.word())
		c := j.claim(f.number(), process)
		c.starts++
		c.Start, c.Attempt, c.Crashes = at, int(f.number()), int(f.number())
	case wordEnd:
		j.seen(f.word())
		c := j.claim(f.number(), process)
		if c.starts == 0 || c.End > 0 {
			c.strayEnds++
		}
		c.End, c.Outcome = at, f.word()
	default:
		f.bad = true
	}
}

// fields are the words of a line.
type fields struct {
	rest []string
	bad  bool
}

func (f *fields) word() string {
	if len(f.rest) == 0 {
		f.bad = true
		return ""
	}
	w := f.rest[0]
	f.rest = f.rest[1:]
	return w
}

func (f *fields) number() int64 {
	n, err := strconv.ParseInt(f.word(), 10, 64)
	f.bad = f.bad || err != nil
	return n
}
