package redistest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const (
	// maxLen is the largest length the server itself accepts (proto-max-bulk-len).
	maxLen = 512 << 20
	// maxBatch bounds how many bytes of requests are gathered before they are
	// passed on, for a client that never pauses.
	maxBatch = 8 << 20
)

// command is one request: its bytes as they came, and what they say. An empty
// request, which a server ignores without a reply, has no name.
type command struct {
	raw  []byte
	name string // upper case
	args []string
}

// readBatch reads one command and every further one that has already arrived, so
// that a pipeline sent in one write is seen as one. The commands read before an
// error are returned with it.
func readBatch(r *bufio.Reader) ([]command, error) {
	var batch []command
	for size := 0; len(batch) == 0 || (r.Buffered() > 0 && size < maxBatch); {
		c, err := readCommand(r)
		if err != nil {
			return batch, err
		}
		size += len(c.raw)
		batch = append(batch, c)
	}
	return batch, nil
}

func readCommand(r *bufio.Reader) (command, error) {
	line, err := r.ReadBytes('\n')
	if err != nil {
		return command{}, err
	}
	if line[0] != '*' { // inline, as typed into a telnet session
		return newCommand(line, strings.Fields(string(line))), nil
	}
	n, err := length(line)
	if err != nil {
		return command{}, err
	}
	raw := line
	var words []string
	for range n {
		head, err := r.ReadBytes('\n')
		if err != nil {
			return command{}, err
		}
		size, err := length(head)
		if err != nil || head[0] != '$' || size < 0 {
			return command{}, fmt.Errorf("redistest: bad request %q", head)
		}
		raw = append(raw, head...)
		start := len(raw)
		if raw, err = appendN(raw, r, size+len("\r\n")); err != nil {
			return command{}, err
		}
		words = append(words, string(raw[start:start+size]))
	}
	return newCommand(raw, words), nil
}

func newCommand(raw []byte, words []string) command {
	c := command{raw: raw}
	if len(words) > 0 {
		c.name, c.args = strings.ToUpper(words[0]), words[1:]
	}
	return c
}

// readReply reads one whole reply, RESP2 or RESP3, as the bytes it is made of.
func readReply(r *bufio.Reader) ([]byte, error) { return appendReply(nil, r) }

func appendReply(raw []byte, r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadBytes('\n')
	if err != nil {
		return raw, err
	}
	raw = append(raw, line...)
	children := 0
	switch line[0] {
	case '+', '-', ':', '_', ',', '#', '(':
		return raw, nil
	case '$', '=', '!':
		n, err := length(line)
		if err != nil || n < 0 { // negative is RESP2's null
			return raw, err
		}
		return appendN(raw, r, n+len("\r\n"))
	case '*', '~', '>':
		children, err = length(line)
	case '%':
		children, err = length(line)
		children *= 2
	case '|': // attributes, and then the reply they belong to
		children, err = length(line)
		children = 2*children + 1
	default:
		err = fmt.Errorf("redistest: bad reply %q", line)
	}
	for i := 0; i < children && err == nil; i++ {
		raw, err = appendReply(raw, r)
	}
	return raw, err
}

func appendN(raw []byte, r *bufio.Reader, n int) ([]byte, error) {
	start := len(raw)
	raw = append(raw, make([]byte, n)...)
	_, err := io.ReadFull(r, raw[start:])
	return raw, err
}

// length parses the number in a line such as "*3\r\n".
func length(line []byte) (int, error) {
	n, err := strconv.Atoi(string(bytes.TrimSpace(line[1:])))
	if err != nil || n > maxLen {
		return 0, fmt.Errorf("redistest: bad length %q", line)
	}
	return n, nil
}

// firstWord returns the first element of an array or push reply if that is a
// string, such as "message".
func firstWord(raw []byte) string {
	_, rest, _ := bytes.Cut(raw, []byte("\r\n"))
	head, rest, _ := bytes.Cut(rest, []byte("\r\n"))
	if len(head) == 0 || head[0] != '$' {
		return strings.TrimPrefix(string(head), "+")
	}
	word, _, _ := bytes.Cut(rest, []byte("\r\n"))
	return string(word)
}
