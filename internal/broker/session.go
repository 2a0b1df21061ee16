package broker

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/keys"
)

// Mode is what a heartbeat does with a session.
type Mode string

// Modes of a heartbeat.
const (
	Register Mode = "new"  // the session's first beat
	Keep     Mode = "keep" // extend it
	Bye      Mode = "bye"  // end it, if it runs nothing
)

// Beat is one session's part of a heartbeat. Where To > 0 the answer lists what Redis holds as running with tokens in
// (From, To], a page at a time.
type Beat struct {
	Queue    *keys.Queue
	Session  string
	Mode     Mode
	From, To int64
}

// Pulse is the answer for one session.
type Pulse struct {
	Err        error // ErrLost, KeyTypeError, or what Redis said
	Gone       bool  // the session ended (Bye)
	Token      int64 // the queue's last claim token
	Claimable  bool
	Paused     bool
	NextDue    int64 // ms, 0 = nothing is scheduled
	NextExpiry int64 // ms when another session may have to be recovered, 0 = there is none
	Expired    []string
	Cancels    []Claim
	Running    int     // claims in Redis with tokens up to To
	Page       []Claim // of them, those above From, at most 400
	Sweep      bool    // retention has something to forget
}

// Heartbeat registers, extends or ends sessions of several queues and answers what the process's timers need. Over a
// plain client it is one call, in Cluster one for each queue, and one that fails is its pulse's error alone: a shard
// that is down must not cost the sessions on the others.
func (b *Broker) Heartbeat(ctx context.Context, ttl time.Duration, beats []Beat) (nowUS int64, pulses []Pulse, err error) {
	if !b.decodes {
		return b.heartbeat(ctx, ttl, beats)
	}
	// Side by side: the slowest of them decides how long it takes, and one that must not be held up by a shard that is
	// down is not.
	pulses = make([]Pulse, len(beats))
	times := make([]int64, len(beats))
	var calls sync.WaitGroup
	turns := make(chan struct{}, beatsAtOnce)
	for i := range beats {
		calls.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			now, one, err := b.heartbeat(ctx, ttl, beats[i:i+1])
			if pulses[i].Err = err; err == nil {
				times[i], pulses[i] = now, one[0]
			}
		})
	}
	calls.Wait()
	if nowUS = slices.Max(append(times, 0)); nowUS == 0 && len(beats) > 0 {
		return 0, nil, pulses[0].Err
	}
	return nowUS, pulses, nil
}

// beatsAtOnce bounds the heartbeats under way in a Cluster.
const beatsAtOnce = 16

func (b *Broker) heartbeat(ctx context.Context, ttl time.Duration, beats []Beat) (int64, []Pulse, error) {
	c := &call{script: heartbeatScript}
	c.arg("EVALSHA", heartbeatScript.Arg(), len(beats)*(keys.Fixed+2))
	for _, beat := range beats {
		for _, key := range beat.Queue.Fixed() {
			c.arg(key)
		}
		c.arg(beat.Queue.Running(beat.Session), beat.Queue.Lanes(beat.Session))
	}
	c.arg(ttl.Milliseconds(), len(beats))
	for _, beat := range beats {
		c.arg(beat.Session, string(beat.Mode), strconv.FormatInt(beat.From, 10), strconv.FormatInt(beat.To, 10))
	}
	r, err := b.do(ctx, c)
	if err != nil {
		return 0, nil, err
	}
	if n := r.Array(); n != len(beats)+1 {
		r.Fail("one answer a session")
	}
	now := r.Number()
	pulses := make([]Pulse, len(beats))
	for i := range pulses {
		pulses[i].read(r)
	}
	return now, pulses, r.Err
}

func (p *Pulse) read(r *reply) {
	n := r.Array()
	switch word := r.Text(); word {
	case "OK":
	case "BYE":
		p.Gone = true
	case "LOST":
		p.Err = ErrLost
	default:
		p.Err = typed(word)
	}
	if n == 1 {
		return
	}
	p.Token, p.Claimable, p.Paused = r.Number(), r.Flag(), r.Flag()
	p.NextDue, p.NextExpiry = r.Number(), r.Number()
	for range r.Array() {
		p.Expired = append(p.Expired, r.Text())
	}
	p.Cancels = readClaims(r)
	p.Running = int(r.Number())
	p.Page = readClaims(r)
	p.Sweep = r.Flag()
}

func readClaims(r *reply) []Claim {
	n := r.Array() / 2
	if n == 0 {
		return nil
	}
	out := make([]Claim, 0, n)
	for range n {
		id, token := r.Bytes(), r.Number()
		if len(id) != 16 {
			r.Fail("an id has 16 bytes")
			return nil
		}
		out = append(out, Claim{ID: uuid.UUID(id), Token: token})
	}
	return out
}

// Recovery is what one recover call did.
type Recovery struct {
	More           bool // call again
	Wait           bool // not now: after an outage the sessions get the time to come back
	Moved          int
	Suspects, Dead int // of those moved
	Ended          []Ended
}

// Ended is a job that a recovery ended.
type Ended struct {
	ID       uuid.UUID
	Dead     bool   // else it was cancelled
	Envelope []byte // empty where there were very large ones
}

// Recover puts what an expired session was running back to the front of its queue, a bite a call. Tell: the answer
// names the jobs that it ended.
func (b *Broker) Recover(ctx context.Context, q *keys.Queue, session string, ttl time.Duration, crashLimit int, tell bool) (Recovery, error) {
	c := newCall(recoverScript, q, 4, q.Running(session), q.Lanes(session))
	asked := 0
	if tell {
		asked = 1
	}
	c.arg(session, ttl.Milliseconds(), crashLimit, asked)
	r, err := b.do(ctx, c)
	if err != nil {
		return Recovery{}, err
	}
	r.Array()
	r.Number()
	word := r.Text()
	out := Recovery{More: word == "MORE", Wait: word == "WAIT"}
	out.Moved, out.Suspects, out.Dead = int(r.Number()), int(r.Number()), int(r.Number())
	letters, ids := r.Bytes(), r.Bytes()
	if n := r.Array(); r.Err == nil && (n != len(letters) || 16*n != len(ids)) {
		r.Fail("jobs and ids differ in number")
	}
	for i := 0; r.Err == nil && i < len(letters); i++ {
		out.Ended = append(out.Ended, Ended{ID: uuid.UUID(ids[16*i : 16*i+16]), Dead: letters[i] == 'd', Envelope: r.Bytes()})
	}
	return out, r.Err
}

// Promoted is what one promote call did. Next is when the next scheduled job is due (server time, ms; 0 = none); it is
// not after NowUS where more jobs are due already.
type Promoted struct {
	NowUS, Next int64
	Moved       int
}

// Promote makes ready what is scheduled and due.
func (b *Broker) Promote(ctx context.Context, q *keys.Queue) (Promoted, error) {
	r, err := b.do(ctx, newCall(promoteScript, q, 0))
	if err != nil {
		return Promoted{}, err
	}
	r.Array()
	out := Promoted{NowUS: r.Number()}
	out.Moved, out.Next = int(r.Number()), r.Number()
	return out, r.Err
}

// Nudge gives a wake token back that this process cannot use.
func (b *Broker) Nudge(ctx context.Context, q *keys.Queue) error {
	_, err := b.do(ctx, newCall(nudgeScript, q, 0))
	return err
}

// Sweep forgets finished and dead jobs whose time is over, a bite a call, and old producer records. Cursor is "0" at
// first and at the end.
func (b *Broker) Sweep(ctx context.Context, q *keys.Queue, cursor string) (finished, dead int, next string, err error) {
	c := newCall(sweepScript, q, 1)
	c.arg(cursor)
	r, err := b.do(ctx, c)
	if err != nil {
		return 0, 0, "", err
	}
	r.Array()
	r.Number()
	finished, dead, next = int(r.Number()), int(r.Number()), r.Text()
	return finished, dead, next, r.Err
}
