package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/bench/internal/rig"
	"github.com/tidemill/tidemill/internal/wire"
)

// publishSpec is the order to the publisher.
type publishSpec struct {
	Broker   rig.Broker `json:"broker"`
	N        int        `json:"n"`
	Window   int        `json:"window"`   // how many messages it may be ahead of the subscriber
	Envelope bool       `json:"envelope"` // Tidemill's, with an id and the time; else the bare JSON
}

// publishStep publishes messages 0 to N-1 as cheaply as can be, so that it takes little of the machine from the subscriber:
// commands written by hand, in batches, their answers read beside. It never is more than the window ahead of what the
// subscriber has handled. Its pace is the subscriber's.
func publishStep(ctx context.Context, spec publishSpec) ([]rig.Metric, error) {
	start, err := rig.MarkUsage(ctx, spec.Broker)
	if err != nil {
		return nil, err
	}
	conn, err := net.Dial("tcp", spec.Broker.Addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	answered := make(chan error, 1)
	go func() { answered <- readAnswers(conn, spec.N) }()
	handled := followProgress(os.Stdin)
	// Where the subscriber ends too early, it is the one to tell why.
	if !handled.await(0) {
		return nil, nil
	}
	batch := max(1, min(200, spec.Window/4))
	m := newMessages(spec.Envelope)
	var buf []byte
	for i := 0; i < spec.N; i += batch {
		buf = buf[:0]
		n := min(batch, spec.N-i)
		for j := range n {
			buf = m.appendCommand(buf, i+j)
		}
		if !handled.await(i + n - spec.Window) {
			return nil, nil
		}
		if _, err := conn.Write(buf); err != nil {
			return nil, err
		}
	}
	if err := <-answered; err != nil {
		return nil, err
	}
	end, err := rig.MarkUsage(ctx, spec.Broker)
	if err != nil {
		return nil, err
	}
	handled.end() // or it could not say that it has the last
	return end.Per("message", spec.N, start, "publisher ")[:1], nil
}

// readAnswers checks that each message reached one connection.
func readAnswers(conn net.Conn, n int) error {
	r := bufio.NewReaderSize(conn, 1<<16)
	for i := range n {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if string(line) != ":1\r\n" {
			return fmt.Errorf("PUBLISH of message %d answered %q, not one connection", i, line)
		}
	}
	return nil
}

// follower is how far the subscriber is.
type follower struct {
	at    atomic.Int64
	moved chan struct{} // holds one at most; closed at the end
}

// followProgress reads the subscriber's lines.
func followProgress(r io.Reader) *follower {
	f := &follower{moved: make(chan struct{}, 1)}
	f.at.Store(-1)
	go func() {
		defer close(f.moved)
		lines := bufio.NewScanner(r)
		for lines.Scan() {
			n, err := strconv.ParseInt(lines.Text(), 10, 64)
			if err != nil {
				return
			}
			f.at.Store(n)
			select {
			case f.moved <- struct{}{}:
			default:
			}
		}
	}()
	return f
}

// await waits until the subscriber has come to n; false: it ended before.
func (f *follower) await(n int) bool {
	for f.at.Load() < int64(n) || f.at.Load() < 0 {
		if _, open := <-f.moved; !open {
			return f.at.Load() >= int64(n) && f.at.Load() >= 0
		}
	}
	return true
}

// end waits for the end of the subscriber.
func (f *follower) end() {
	for range f.moved {
	}
}

// messages makes PUBLISH commands of numbered payloads without encoding each anew.
type messages struct {
	envelope       bool
	before, behind string // the JSON around the number
}

func newMessages(envelope bool) messages {
	const mark = 987654321
	data, err := json.Marshal(rig.NewPayload(mark))
	if err != nil {
		panic(err) // of strings and numbers
	}
	before, behind, _ := strings.Cut(string(data), strconv.Itoa(mark))
	return messages{envelope, before, behind}
}

func (m messages) appendCommand(dst []byte, i int) []byte {
	number := strconv.Itoa(i)
	size := len(m.before) + len(number) + len(m.behind)
	if m.envelope {
		size += wire.MessageOverhead
	}
	dst = append(dst, "*3\r\n$7\r\nPUBLISH\r\n$"...)
	dst = strconv.AppendInt(dst, int64(len(topic)), 10)
	dst = append(dst, "\r\n"+topic+"\r\n$"...)
	dst = strconv.AppendInt(dst, int64(size), 10)
	dst = append(dst, '\r', '\n')
	if m.envelope {
		id := uuid.UUID{0: 1, 6: 0x70, 8: 0x80, 12: byte(i >> 24), 13: byte(i >> 16), 14: byte(i >> 8), 15: byte(i)}
		dst = wire.AppendMessageHead(dst, id, time.Now().UnixMicro(), nil)
	}
	dst = append(dst, m.before...)
	dst = append(dst, number...)
	dst = append(dst, m.behind...)
	return append(dst, '\r', '\n')
}
