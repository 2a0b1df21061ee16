package chaos

import (
	"cmp"
	"slices"
	"time"
)

// Fate is what a producer knows of its job.
type Fate int

// Fates, of which a later one wins.
const (
	Unasked Fate = iota // nobody wrote down to have asked for it
	Refused             // its enqueue failed, and nothing was done
	Maybe               // its enqueue may have been carried out
	Acked               // its enqueue was acknowledged
)

// Claim is one attempt at a job.
type Claim struct {
	Token             int64 // also the claim's time, in us
	Process           string
	Attempt, Crashes  int
	Start, End        int64 // us; no End: it never came to its last line
	Outcome           string
	starts, strayEnds int
}

// Op is what an operator did to a job.
type Op struct {
	Verb        string // cancel, delete or redrive
	Asked, Done int64  // us; not Done: the outcome is unknown
}

// Job is all that the ledgers say of one job.
type Job struct {
	Name   string
	Fate   Fate
	Acks   int      // acknowledged enqueues
	Dups   int      // enqueues refused as duplicates
	IDs    []string // known of it
	Claims []Claim  // by token
	Ops    []Op

	tried, refused, unknown int // enqueues begun, refused, and of unknown outcome
}

// Steered tells whether an operator may have ended the job.
func (j *Job) Steered() bool {
	return slices.ContainsFunc(j.Ops, func(o Op) bool { return o.Verb != verbRedrive })
}

// redriven tells whether an operator may have made the job begin anew.
func (j *Job) redriven() bool {
	return slices.ContainsFunc(j.Ops, func(o Op) bool { return o.Verb == verbRedrive })
}

// ran tells whether one of these attempts succeeded by its own account.
func (j *Job) ran(these func(Claim) bool) bool {
	return slices.ContainsFunc(j.Claims, func(c Claim) bool { return c.Outcome == endOK && these(c) })
}

// Last is the claim of the highest token; nil is none.
func (j *Job) Last() *Claim {
	if len(j.Claims) == 0 {
		return nil
	}
	return &j.Claims[len(j.Claims)-1]
}

// Strike is a fault as it was carried out.
type Strike struct {
	Kind     Kind
	Way      string
	Process  string // the victim's life, of a Link the slot; "" is the server
	From, To int64  // us
	Unclean  bool   // of a Term: it had to cut handlers off, or Redis did not take all outcomes
}

// History is what happened, as the ledgers and the harness wrote it down.
type History struct {
	Jobs    map[string]*Job
	Strikes []Strike
	TTL     time.Duration
	Lossy   bool // a failover may lose what no replica has confirmed

	where map[string][]Strike // by victim
}

// NewHistory is a history in which nothing has happened.
func NewHistory(ttl time.Duration) *History {
	return &History{Jobs: make(map[string]*Job), TTL: ttl}
}

func (h *History) job(name string) *Job {
	j := h.Jobs[name]
	if j == nil {
		j = &Job{Name: name}
		h.Jobs[name] = j
	}
	return j
}

// seen notes an id of a job.
func (j *Job) seen(id string) {
	if !slices.Contains(j.IDs, id) {
		j.IDs = append(j.IDs, id)
	}
}

func (j *Job) claim(token int64, process string) *Claim {
	for i := range j.Claims {
		if j.Claims[i].Token == token && j.Claims[i].Process == process {
			return &j.Claims[i]
		}
	}
	j.Claims = append(j.Claims, Claim{Token: token, Process: process})
	return j.Last()
}

// settle puts everything in order once all has been read.
func (h *History) settle() {
	for _, j := range h.Jobs {
		if j.Fate == Maybe && j.unknown == 0 && j.tried == j.refused {
			j.Fate = Refused
		}
		slices.SortStableFunc(j.Claims, func(a, b Claim) int { return cmp.Compare(a.Token, b.Token) })
	}
	h.Strikes = slices.DeleteFunc(slices.Clone(h.Strikes), h.excused) // which looks at them all
	h.where = make(map[string][]Strike)
	for _, s := range h.Strikes {
		h.where[s.Process] = append(h.where[s.Process], s)
	}
}

// excused tells whether a process was starved for no other reason than that it had been stopped, or was too shortly.
func (h *History) excused(starved Strike) bool {
	return starved.Kind == Starved && (starved.To-starved.From < h.TTL.Microseconds()/2 ||
		slices.ContainsFunc(h.Strikes, func(s Strike) bool {
			return s.Kind == Stop && s.Process == starved.Process && s.From <= starved.To && s.To >= starved.From
		}))
}

// op adds what an operator's line says.
func (j *Job) op(word, verb string, at int64) (ok bool) {
	if word == wordWill {
		j.Ops = append(j.Ops, Op{Verb: verb, Asked: at})
		return true
	}
	last := len(j.Ops) - 1
	if last < 0 || j.Ops[last].Verb != verb || j.Ops[last].Done > 0 {
		return false
	}
	if j.Ops[last].Done = at; word == wordBeen {
		j.Ops = j.Ops[:last]
	}
	return true
}

// effects are what successful attempts wrote elsewhere.
func (h *History) effects() []Effect {
	var all []Effect
	for _, j := range h.Jobs {
		for _, c := range j.Claims {
			if c.Outcome == endOK {
				all = append(all, Effect{j.Name, c.Token, c.End})
			}
		}
	}
	return all
}
