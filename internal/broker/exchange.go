package broker

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/keys"
)

// Claim names one claim of one job: the token tells it from every other claim of the same id.
type Claim struct {
	ID    uuid.UUID
	Token int64
}

// Kept is the acknowledgement of a job that is kept after it finished.
type Kept struct {
	Claim
	Retention int64 // ms
	State     []byte
	Result    []byte
}

// Exchange is one call of a lane: what to acknowledge and how much to claim.
type Exchange struct {
	Queue   *keys.Queue
	Session string
	Lane    int
	Seq     uint64
	Want    int  // jobs to claim, at most 250
	Bytes   int  // of envelopes to claim, at most (one job always fits)
	First   int  // how many to look at before their size is known
	Suspect bool // one of the jobs may be a suspect
	Widen   int  // from so many claimed on, the session's running jobs are to be stored as a set of many (see Crowd); 0 = left as they are
	Done    []Claim
	Kept    []Kept
	Room    []Claimed // where the answer's Jobs may be put, if it is large enough
}

// Claimed is one claimed job. Envelope and State are views into the reply that carried them.
type Claimed struct {
	Claim
	Envelope []byte
	State    []byte
}

// Exchanged is the answer to an Exchange. Refused are the places in Done, then Kept, whose claim was not ours any more.
type Exchanged struct {
	NowUS    int64 // server time, us
	More     bool  // ghosts were skipped: call again at once
	Paused   bool
	Left     bool // ready work remains
	Suspects int  // suspects remaining
	Refused  []int
	Suspect  bool // the first job is a suspect
	Jobs     []Claimed
}

// Crowd is how many running jobs of a session make a set of many: Redis keeps up to 128 as a list, of which each step of a call
// passes half. At 100 that doubles what a call for 16 jobs costs; below 24 the list is cheaper.
const Crowd = 24

// Exchange sends several exchanges of different queues in one pipeline and answers each. A call whose reply was lost
// is sent again unchanged.
func (b *Broker) Exchange(ctx context.Context, calls []*Exchange) ([]Exchanged, []error) {
	wire := make([]*call, len(calls))
	for i, x := range calls {
		wire[i] = x.call()
	}
	out, errs := make([]Exchanged, len(calls)), make([]error, len(calls))
	for i, res := range b.doAll(ctx, wire) {
		if errs[i] = res.err; res.err == nil {
			errs[i] = out[i].read(res.reply, calls[i])
		}
	}
	return out, errs
}

func (x *Exchange) call() *call {
	c := newCall(exchangeScript, x.Queue, 10+5*len(x.Kept), x.Queue.Running(x.Session), x.Queue.Lanes(x.Session))
	ids := make([]byte, 0, 16*len(x.Done))
	for i := range x.Done {
		ids = append(ids, x.Done[i].ID[:]...)
	}
	suspect := 0
	if x.Suspect {
		suspect = 1
	}
	c.arg(x.Session, x.Lane, x.Seq, x.Want, x.Bytes, x.First, suspect, x.Widen, ids, appendRuns(nil, x.Done))
	for i := range x.Kept {
		k := &x.Kept[i]
		c.arg(k.ID[:], k.Token, k.Retention, k.State, k.Result)
	}
	return c
}

// appendRuns writes the claims' tokens as runs of consecutive ones: first:count,...
func appendRuns(dst []byte, claims []Claim) []byte {
	for i := 0; i < len(claims); {
		n := 1
		for i+n < len(claims) && claims[i+n].Token == claims[i].Token+int64(n) {
			n++
		}
		dst = append(strconv.AppendInt(dst, claims[i].Token, 10), ':')
		dst = append(strconv.AppendInt(dst, int64(n), 10), ',')
		i += n
	}
	return dst
}

func (out *Exchanged) read(r *reply, x *Exchange) error {
	values := r.Array()
	out.NowUS = r.Number()
	word := string(r.Bytes())
	out.More, out.Paused = word == "MORE", word == "PAUSED"
	out.Left = r.Flag()
	out.Suspects = int(r.Number())
	if refused := r.Text(); refused != "" {
		for place := range strings.SplitSeq(refused, ",") {
			n, err := strconv.Atoi(place)
			if err != nil || n < 0 || n >= len(x.Done)+len(x.Kept) {
				r.Fail("refused acks are named by their place")
				return r.Err
			}
			out.Refused = append(out.Refused, n)
		}
	}
	out.Suspect = r.Number() > 0
	token := r.Number()
	ids := r.Bytes()
	n := len(ids) / 16
	if envelopes := r.Array(); values != 10 || envelopes != n {
		r.Fail("jobs and ids differ in number")
		return r.Err
	}
	all := slices.Grow(x.Room[:0], n)[:n]
	for i := range all {
		all[i] = Claimed{Claim: Claim{ID: uuid.UUID(ids[16*i : 16*i+16]), Token: token + int64(i)}, Envelope: r.Bytes()}
	}
	if records := r.Array(); records == n {
		for i := range all {
			if record := r.Bytes(); len(record) > 0 {
				all[i].State = record
			}
		}
	}
	// A batch that is answered again may have lost a job to an operator's repair.
	out.Jobs = slices.DeleteFunc(all, func(c Claimed) bool { return c.ID == uuid.Nil })
	return r.Err
}

// Verdict is how a claim ends other than in success.
type Verdict string

// Verdicts.
const (
	Retry     Verdict = "retry"     // run again after a delay, one attempt used
	Snooze    Verdict = "snooze"    // run again after a delay, no attempt used
	Dead      Verdict = "dead"      // no attempts are left, or none would help
	Cancelled Verdict = "cancelled" // an operator cancelled it
	Expired   Verdict = "expired"   // it was not started in time
	Release   Verdict = "release"   // back to the front as if never claimed
)

// Settle is one claim that ends other than in success. State is the job's new record (nil = as it was), of which the
// first Brief bytes are a whole record for a Redis that is full.
type Settle struct {
	Claim
	Verdict Verdict
	Delay   int64 // ms, for Retry and Snooze
	State   []byte
	Brief   int
}

// Settled is what became of a Settle.
type Settled byte

// Outcomes of fail.
const (
	SettledDone      Settled = 'o'
	SettledCancelled Settled = 'c' // a cancel mark won over the verdict
	SettledRefused   Settled = 'x' // the claim was not ours any more; nothing changed
)

// Fail ends claims other than in success. Releases keep their order at the front of the queue.
func (b *Broker) Fail(ctx context.Context, q *keys.Queue, session string, lane int, seq uint64, items []Settle) ([]Settled, error) {
	c := newCall(failScript, q, 3+6*len(items), q.Running(session), q.Lanes(session))
	c.arg(session, "f"+strconv.Itoa(lane), seq)
	for i := range items {
		s := &items[i]
		c.arg(s.ID[:], s.Token, string(s.Verdict), s.Delay, s.State, s.Brief)
	}
	r, err := b.do(ctx, c)
	if err != nil {
		return nil, err
	}
	r.Array()
	r.Number()
	words := r.Bytes()
	if r.Err == nil && len(words) != len(items) {
		r.Fail("outcomes and items differ in number")
	}
	out := make([]Settled, len(items))
	for i := range words[:min(len(words), len(items))] {
		out[i] = Settled(words[i])
	}
	return out, r.Err
}
