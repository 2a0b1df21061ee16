package supervise

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"
)

// The two ends are one binary, so the protocol needs no versions. Each message is one packet of a SOCK_SEQPACKET socket.
// A start carries three file descriptors; an answer packs as many events as there are at the moment.
const (
	opStart     = 's' // id, path, dir, args, env
	opTerminate = 't' // id
	opKill      = 'k' // id
	opHello     = 'h' // the supervisor is up
	opExit      = 'e' // one event, fixed size
)

// maxMessage bounds a command's args and environment, in bytes.
const maxMessage = 128 << 10

const eventSize = 29

// maxEvents is how many events go into one packet.
const maxEvents = 64

var errMessage = errors.New("supervise: a message of another form")

// event is what became of a command.
type event struct {
	id     uint64
	errno  syscall.Errno // it did not start
	status uint32        // as wait4 gives it
	left   uint32
	cpu    int64 // us
}

func (e *event) append(b []byte) []byte {
	b = append(b, opExit)
	b = binary.LittleEndian.AppendUint64(b, e.id)
	b = binary.LittleEndian.AppendUint32(b, uint32(e.errno))
	b = binary.LittleEndian.AppendUint32(b, e.status)
	b = binary.LittleEndian.AppendUint32(b, e.left)
	return binary.LittleEndian.AppendUint64(b, uint64(e.cpu))
}

// events parses a packet of them.
func events(b []byte, each func(event)) error {
	for ; len(b) > 0; b = b[eventSize:] {
		if len(b) < eventSize || b[0] != opExit {
			return errMessage
		}
		each(event{
			id: binary.LittleEndian.Uint64(b[1:]), errno: syscall.Errno(binary.LittleEndian.Uint32(b[9:])),
			status: binary.LittleEndian.Uint32(b[13:]), left: binary.LittleEndian.Uint32(b[17:]),
			cpu: int64(binary.LittleEndian.Uint64(b[21:])),
		})
	}
	return nil
}

// appendSignal writes a request about a running command.
func appendSignal(b []byte, op byte, id uint64) []byte {
	return binary.LittleEndian.AppendUint64(append(b, op), id)
}

// appendStart writes the request to start a command.
func appendStart(b []byte, id uint64, c *Command) ([]byte, error) {
	b = appendSignal(b, opStart, id)
	b = appendText(appendText(b, c.Path), c.Dir)
	for _, list := range [][]string{c.Args, c.Env} {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(list)))
		for _, text := range list {
			b = appendText(b, text)
		}
	}
	if len(b) > maxMessage {
		return b, fmt.Errorf("start %s: args and environment are %d bytes; allowed: %d: %w", c.Path, len(b), maxMessage, syscall.E2BIG)
	}
	return b, nil
}

func appendText(b []byte, text string) []byte {
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(text))), text...)
}

// parser reads a request; the first fault makes everything after it empty.
type parser struct {
	rest []byte
	bad  bool
}

func (p *parser) number() int {
	if p.bad = p.bad || len(p.rest) < 4; p.bad {
		return 0
	}
	n := binary.LittleEndian.Uint32(p.rest)
	p.rest = p.rest[4:]
	if p.bad = int64(n) > int64(len(p.rest)); p.bad { // no text and no list is longer than what carries it
		return 0
	}
	return int(n)
}

func (p *parser) text() string {
	n := p.number()
	text := string(p.rest[:n])
	p.rest = p.rest[n:]
	return text
}

func (p *parser) list() []string {
	list := make([]string, 0, p.number())
	for range cap(list) {
		list = append(list, p.text())
	}
	return list
}

// request is a message to the supervisor.
type request struct {
	op      byte
	id      uint64
	command Command // of a start, without its streams
}

func parseRequest(b []byte) (request, error) {
	if len(b) < 9 {
		return request{}, errMessage
	}
	r := request{op: b[0], id: binary.LittleEndian.Uint64(b[1:])}
	p := parser{rest: b[9:]}
	switch r.op {
	case opTerminate, opKill:
	case opStart:
		r.command = Command{Path: p.text(), Dir: p.text(), Args: p.list(), Env: p.list()}
	default:
		return r, errMessage
	}
	if p.bad || len(p.rest) > 0 {
		return r, errMessage
	}
	return r, nil
}
