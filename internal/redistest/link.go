package redistest

import (
	"bufio"
	"io"
	"sync"
	"time"
)

const linkBuffer = 64 << 10

// link relays one connection: up carries requests, down carries replies. A
// client that goes away ends its own side only. The server's side is then closed
// in the direction of the server and read to its end, so that whatever was sent
// is executed, as it is when a process dies behind a kernel's send buffer.
type link struct {
	faults *faults
	client wire
	server wire
	queue  replyQueue

	gone  chan struct{} // closed when the client has gone
	ended chan struct{} // closed when the link is torn down
	once  sync.Once
}

func newLink(f *faults, client, server wire) *link {
	return &link{
		faults: f, client: client, server: server,
		gone: make(chan struct{}), ended: make(chan struct{}),
	}
}

// reset breaks the client's side; up notices and winds the server's side down.
func (l *link) reset() { reset(l.client) }

// close tears both sides down.
func (l *link) close() {
	l.once.Do(func() {
		close(l.ended)
		l.client.Close()
		l.server.Close()
		l.faults.detach(l)
	})
}

func (l *link) up() {
	r := bufio.NewReaderSize(l.client, linkBuffer)
	err := error(nil)
	for err == nil {
		var batch []command
		batch, err = readBatch(r)
		l.emerge()
		if doomed := l.forward(batch); doomed {
			// The connection ends with the reply to be dropped. Until then the
			// client's going must still be noticed, but nothing new is let in:
			// what the server executes would depend on a race.
			_, _ = io.Copy(io.Discard, l.client)
			l.emerge()
			break
		}
	}
	close(l.gone)
	_ = l.server.CloseWrite()
}

// forward passes a batch on, as far as it is not held at once and the rest when
// that is released. It reports whether a reply of the batch is to be dropped.
func (l *link) forward(batch []command) (doomed bool) {
	at, h := l.faults.findHold(batch)
	doomed = l.send(batch[:at], nil)
	if h == nil {
		return doomed
	}
	l.faults.held.Add(1)
	leave := func() {
		l.faults.held.Add(-1)
		h.leave()
	}
	select {
	case <-h.released:
		return l.send(batch[at:], leave) || doomed
	case <-l.ended:
		leave()
		return doomed
	}
}

// send writes commands to the server, having noted them as pending first: the
// reply may be there before Write returns. answered is called when the last of
// them has been answered, or never will be.
func (l *link) send(batch []command, answered func()) (doomed bool) {
	var raw []byte
	for i, c := range batch {
		var then func()
		if i == len(batch)-1 {
			then = answered
		}
		doomed = l.queue.add(c, l.faults.judge(c), then) || doomed
		raw = append(raw, c.raw...)
	}
	if len(raw) > 0 {
		// A server that has gone is noticed by down, which ends the link.
		l.write(&l.faults.upward, raw, func(b []byte) { _, _ = l.server.Write(b) })
	}
	select {
	case <-l.ended: // down may have left before these were added
		l.queue.abandon()
	default:
	}
	return doomed
}

func (l *link) down() {
	defer l.queue.abandon()
	defer l.close()
	r := bufio.NewReaderSize(l.server, linkBuffer)
	w := bufio.NewWriterSize(l.client, linkBuffer)
	deaf := false // a reply was dropped: nothing reaches the client any more
	for {
		reply, err := readReply(r)
		if err != nil {
			w.Flush()
			l.emerge()
			return
		}
		v, answered := l.queue.answer(reply)
		for _, h := range v.frees {
			l.faults.free(h)
		}
		l.detain(v, w)
		l.emerge()
		deaf = deaf || v.drop
		// A client that has gone is no reason to stop reading: a late request
		// may still be held for this server. Its write errors mean nothing.
		if !deaf {
			l.pass(w, reply)
		}
		if deaf || r.Buffered() == 0 {
			w.Flush()
		}
		if answered != nil {
			answered()
		}
		if deaf && l.queue.empty() {
			l.faults.dropped.Add(1)
			l.reset()
			return
		}
	}
}

// detain keeps a reply from its client as long as the verdict says, unless nobody
// is left to be given it.
func (l *link) detain(v verdict, w *bufio.Writer) {
	if v.delay == 0 && len(v.keeps) == 0 {
		return
	}
	w.Flush()
	l.wait(v.delay, l.gone)
	for _, k := range v.keeps {
		l.faults.kept.Add(1)
		select {
		case <-k.released:
		case <-l.gone:
		case <-l.ended:
		}
		l.faults.kept.Add(-1)
	}
}

// pass gives the client a reply.
func (l *link) pass(w *bufio.Writer, reply []byte) {
	l.write(&l.faults.downward, reply, func(b []byte) {
		_, _ = w.Write(b)
		if l.faults.downward.Load() != nil {
			w.Flush()
		}
	})
}

// wait lets time pass, unless the link is torn down or off is closed before.
func (l *link) wait(d time.Duration, off <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-off:
	case <-l.ended:
	}
}
