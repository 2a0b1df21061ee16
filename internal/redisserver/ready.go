package redisserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

const (
	// pollEvery is how often a starting server is tried: it needs some 10 ms, and
	// a test suite starts hundreds.
	pollEvery = time.Millisecond
	// answerWithin bounds one try. A server that is loading its append-only file
	// may be slow to answer, and is then tried again.
	answerWithin = time.Second
)

// errStranger means that the port is answered by a process that is not ours.
var errStranger = errors.New("another server holds the port")

// awaitReady returns nil once the process serves commands, and an error when it
// dies first or ctx ends first.
func awaitReady(ctx context.Context, p *process, addr, password string) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := probe(ctx, addr, password, p.pid())
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("server ended while starting; its last words:\n%s", p.log)
		case <-ctx.Done():
			return fmt.Errorf("server not ready: %w (last try: %w); its log ends:\n%s", context.Cause(ctx), err, p.log)
		case <-tick.C:
		}
	}
}

// probe asks once whether the server at addr answers PING, and whether it is
// the process with this pid: a port drawn from the free ones may have been
// taken by someone else's server in the meantime, which would answer as well.
func probe(ctx context.Context, addr, password string, pid int) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	r := bufio.NewReader(conn)
	if password != "" {
		if _, err := ask(conn, r, "AUTH", password); err != nil {
			return err
		}
	}
	pong, err := ask(conn, r, "PING")
	if err != nil {
		return err
	}
	if strings.HasPrefix(pong, "-LOADING") {
		return errors.New("loading its data")
	}
	// Any other answer, be it +PONG, -NOAUTH or -MASTERDOWN, is a server at work.
	info, err := ask(conn, r, "INFO", "server")
	if err != nil {
		return err
	}
	for _, refusal := range []string{"-NOPERM", "-NOAUTH", "-ERR unknown command"} {
		if strings.HasPrefix(info, refusal) {
			return nil // PING has to do
		}
	}
	_, rest, _ := strings.Cut(info, "process_id:") // an embedded server does not know the question
	if got, _, _ := strings.Cut(rest, "\r\n"); got != strconv.Itoa(pid) {
		return fmt.Errorf("%w (pid %q)", errStranger, got)
	}
	return nil
}

// ask sends one command and returns its reply: a status or error line as it
// came, or the text of a bulk string. Nothing else is ever asked for here.
func ask(w io.Writer, r *bufio.Reader, args ...string) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, arg := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(arg), arg)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return "", err
	}
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimRight(line, "\r\n")
	size, bulk := strings.CutPrefix(line, "$")
	if !bulk {
		return line, nil
	}
	n, err := strconv.Atoi(size)
	if err != nil || n < 0 {
		return "", fmt.Errorf("bad reply %q", line)
	}
	body := make([]byte, n+len("\r\n"))
	if _, err := io.ReadFull(r, body); err != nil {
		return "", err
	}
	return string(body[:n]), nil
}
