package redistest

import (
	"bufio"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestReadBatch(t *testing.T) {
	in := "*2\r\n$3\r\nget\r\n$5\r\na\r\nb\x00\r\nPING\r\n\r\n*0\r\n*1\r\n$4\r\nEXEC\r\n"
	batch, err := readBatch(bufio.NewReader(strings.NewReader(in)))
	if err != nil {
		t.Fatal(err)
	}
	var raw strings.Builder
	var names []string
	for _, c := range batch {
		raw.Write(c.raw)
		names = append(names, c.name)
	}
	if raw.String() != in || !slices.Equal(names, []string{"GET", "PING", "", "", "EXEC"}) {
		t.Errorf("names %q, bytes %q", names, raw.String())
	}
	if args := batch[0].args; !slices.Equal(args, []string{"a\r\nb\x00"}) {
		t.Errorf("args %q", args)
	}
	for _, bad := range []string{"*1\r\n:3\r\n", "*x\r\n", "*1\r\n$-1\r\n", "*2\r\n$3\r\nget\r\n$5\r\na", "*1\r\n$999999999999\r\n"} {
		if batch, err := readBatch(bufio.NewReader(strings.NewReader(bad))); err == nil {
			t.Errorf("%q was taken for %q", bad, batch)
		}
	}
}

func TestReadReplyTakesExactlyOne(t *testing.T) {
	for _, reply := range []string{
		"+OK\r\n", "-ERR x\r\n", ":1\r\n", "_\r\n", ",1.5\r\n", "#t\r\n", "(123\r\n",
		"$3\r\na\r\n\r\n", "$-1\r\n", "$0\r\n\r\n", "=7\r\ntxt:abc\r\n", "!3\r\nERR\r\n",
		"*-1\r\n", "*0\r\n", "*2\r\n*1\r\n:1\r\n$1\r\nx\r\n", "~1\r\n+a\r\n", ">2\r\n+a\r\n+b\r\n",
		"%1\r\n+k\r\n*1\r\n:1\r\n", "|1\r\n+k\r\n+v\r\n*1\r\n:1\r\n",
	} {
		r := bufio.NewReader(strings.NewReader(reply + "+NEXT\r\n"))
		if got, err := readReply(r); err != nil || string(got) != reply {
			t.Errorf("%q was read as %q, %v", reply, got, err)
		}
	}
	if got, err := readReply(bufio.NewReader(strings.NewReader("what\r\n"))); err == nil {
		t.Errorf("nonsense was read as %q", got)
	}
}

// Each case is what passes on a connection: requests begin with > and name the
// command, and those whose name ends in ! are marked; replies begin with <.
// After it, the queue holds as many commands as left says, and the replies
// whose verdict was a drop are those numbered (from 0) in drops.
func TestReplyQueue(t *testing.T) {
	tests := []struct {
		name  string
		steps []string
		drops []int
		left  int
	}{
		{"in order", []string{">GET a", ">INCR! b", "<$-1", "<:1"}, []int{1}, 0},
		{"in a transaction", []string{">MULTI", ">INCR! n", ">EXEC", "<+OK", "<+QUEUED", "<*1\r\n:1"}, []int{2}, 0},
		{"discarded", []string{">MULTI", ">INCR! n", ">DISCARD", ">MULTI", ">EXEC", "<+OK", "<+QUEUED", "<+OK", "<+OK", "<*0"}, nil, 0},
		{"a reply per channel", []string{">SUBSCRIBE a b", ">PING!", "<*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1",
			"<*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2", "<*2\r\n$4\r\npong\r\n$0\r\n"}, []int{2}, 0},
		{"one error for all channels", []string{">SUBSCRIBE a b", ">PING!", "<-NOPERM", "<+PONG"}, []int{1}, 0},
		{"messages between, RESP2", []string{">SUBSCRIBE a", "<*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1", ">UNSUBSCRIBE!",
			"<*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx", "<*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:0"}, []int{2}, 0},
		{"pushes between, RESP3", []string{">GET! k", "<>2\r\n$10\r\ninvalidate\r\n*0", "<$-1"}, []int{1}, 0},
		{"unsubscribed by the server", []string{">GET! k", "<>3\r\n$12\r\nsunsubscribe\r\n$1\r\na\r\n:0", "<$-1"}, []int{1}, 0},
		{"from all channels", []string{">SUBSCRIBE a b", ">UNSUBSCRIBE", ">GET! k", "<>1\r\n$9\r\nsubscribe", "<>1\r\n$9\r\nsubscribe",
			"<>1\r\n$11\r\nunsubscribe", "<>1\r\n$11\r\nunsubscribe", "<$-1"}, []int{4}, 0},
		{"empty requests", []string{">", ">PING!", "<+PONG"}, []int{0}, 0},
		{"unanswered", []string{">BLPOP! l", ">PING"}, nil, 2},
		{"the stream of MONITOR", []string{">MONITOR", "<+OK", "<+1.2 [0 lua] \"GET\""}, nil, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var q replyQueue
			var drops []int
			replies := 0
			for _, step := range test.steps {
				body := step[1:]
				if step[0] == '<' {
					if v, _ := q.answer([]byte(body + "\r\n")); v.drop {
						drops = append(drops, replies)
					}
					replies++
					continue
				}
				c := newCommand(nil, strings.Fields(strings.ReplaceAll(body, "!", "")))
				q.add(c, verdict{drop: strings.Contains(body, "!"), delay: time.Second}, nil)
			}
			if !slices.Equal(drops, test.drops) || len(q.queue) != test.left {
				t.Errorf("dropped %v, want %v; %d commands left, want %d", drops, test.drops, len(q.queue), test.left)
			}
		})
	}
}
