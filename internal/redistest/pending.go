package redistest

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// verdict is what shall happen to the reply of a command.
type verdict struct {
	drop  bool
	delay time.Duration
	keeps []*keep // to be released before the client is given it
	frees []*hold // that it releases
}

func (v verdict) plus(w verdict) verdict {
	return verdict{
		drop: v.drop || w.drop, delay: v.delay + w.delay,
		keeps: slices.Concat(v.keeps, w.keeps), frees: slices.Concat(v.frees, w.frees),
	}
}

// pending is a command that the server has been sent and has not answered.
type pending struct {
	name     string
	replies  int // still to come
	verdict  verdict
	answered func() // may be nil
}

// replyQueue matches replies with commands: a connection answers in order, but
// for the subscription commands, which answer once per channel, and messages,
// which answer nothing.
type replyQueue struct {
	mu    sync.Mutex
	queue []pending

	inMulti    bool
	tx         verdict                    // gathered from the queued commands for their EXEC
	subs       map[string]map[string]bool // channels by "SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE"
	subscriber bool                       // has ever subscribed
}

// add notes a command about to be sent, and tells whether its reply is to be
// dropped. A command queued by MULTI has done nothing when it is answered, so
// its verdict moves to the EXEC that runs it.
func (q *replyQueue) add(c command, v verdict, answered func()) (drop bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	replies := 1
	switch {
	case c.name == "":
		replies = 0
	case c.name == "MULTI":
		q.inMulti, q.tx = true, verdict{}
	case c.name == "EXEC":
		v, q.inMulti, q.tx = v.plus(q.tx), false, verdict{}
	case c.name == "DISCARD" || c.name == "RESET":
		q.inMulti, q.tx = false, verdict{}
	case q.inMulti:
		v, q.tx = verdict{}, q.tx.plus(v)
	default:
		replies = q.subscribe(c)
	}
	if replies == 0 {
		if answered != nil {
			answered()
		}
		return false
	}
	q.queue = append(q.queue, pending{c.name, replies, v, answered})
	return v.drop
}

// subscribe keeps the books of the channels subscribed to, and returns how many
// replies the command will have.
func (q *replyQueue) subscribe(c command) int {
	kind, off := subscription(c.name)
	if kind == "" {
		return 1
	}
	if q.subs[kind] == nil {
		if q.subs == nil {
			q.subs = map[string]map[string]bool{}
		}
		q.subs[kind] = map[string]bool{}
	}
	channels := q.subs[kind]
	replies := max(1, len(c.args))
	if off && len(c.args) == 0 { // from all; one reply says so if there was none
		replies = max(1, len(channels))
		clear(channels)
	}
	for _, ch := range c.args {
		if off {
			delete(channels, ch)
		} else {
			channels[ch] = true
			q.subscriber = true
		}
	}
	return replies
}

// subscription tells whether name is a subscription command, which kind, and
// whether it ends subscriptions. It takes a reply's lower-case word as well.
func subscription(name string) (kind string, off bool) {
	switch name = strings.ToUpper(name); name {
	case "SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE":
		return name, false
	case "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE":
		return strings.Replace(name, "UNSUB", "SUB", 1), true
	}
	return "", false
}

// answer finds the command that a reply belongs to. It returns the verdict on
// that reply, which is spent on a command's first one, and with a command's last
// one the call that tells those who wait for it, if any. What answers no command
// (messages, invalidations, the stream of MONITOR) gets neither.
func (q *replyQueue) answer(reply []byte) (v verdict, answered func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queue) == 0 || q.unasked(reply) {
		return verdict{}, nil
	}
	head := &q.queue[0]
	v, head.verdict = head.verdict, verdict{}
	head.replies--
	if reply[0] == '-' { // an error answers for all channels at once
		head.replies = 0
	}
	if head.replies == 0 {
		answered = head.answered
		q.queue = q.queue[1:]
	}
	return v, answered
}

// unasked tells whether a reply is a message rather than an answer.
func (q *replyQueue) unasked(reply []byte) bool {
	push := reply[0] == '>'
	if !push && (reply[0] != '*' || !q.subscriber) {
		return false
	}
	word := firstWord(reply)
	if !push { // RESP2 has nothing but the first word to tell them apart
		return word == "message" || word == "pmessage" || word == "smessage"
	}
	kind, _ := subscription(word)
	asked, _ := subscription(q.queue[0].name)
	return kind == "" || kind != asked
}

// empty tells whether every command has been answered.
func (q *replyQueue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.queue) == 0
}

// abandon tells those who wait for answers that none will come.
func (q *replyQueue) abandon() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, p := range q.queue {
		if p.answered != nil {
			p.answered()
		}
	}
	q.queue = nil
}
