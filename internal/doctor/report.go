package doctor

import "time"

// Level is how bad a finding is.
type Level string

// Levels, from good to bad. Unchecked is what could not be looked at, with the reason.
const (
	OK        Level = "ok"
	Unchecked Level = "not checked"
	Note      Level = "note"
	Warning   Level = "warning"
	Problem   Level = "problem"
)

var levels = []Level{OK, Unchecked, Note, Warning, Problem}

func rank(l Level) int {
	for i, other := range levels {
		if l == other {
			return i
		}
	}
	return -1
}

// mostExamples is how many ids or names a finding shows.
const mostExamples = 5

// Finding is one thing that was looked at, and what was found.
type Finding struct {
	Level    Level    `json:"level"`
	Check    string   `json:"check"`            // names what was looked at; scripts rely on it
	Server   string   `json:"server,omitempty"` // host:port
	Queue    string   `json:"queue,omitempty"`
	Text     string   `json:"text"`
	Count    int64    `json:"count,omitempty"`
	More     bool     `json:"more,omitempty"` // there are more than were counted
	Examples []string `json:"examples,omitempty"`
	Means    string   `json:"means,omitempty"`
	Repair   string   `json:"repair,omitempty"` // what a repair would do; empty = there is none
}

// Report is what an examination found.
type Report struct {
	Namespace string    `json:"namespace"`
	Result    Level     `json:"result"` // the worst level; never "not checked"
	TookMS    int64     `json:"took_ms"`
	Findings  []Finding `json:"findings"`

	plans  map[string]*plan    // by queue; "" = the namespace
	strays map[string][]string // by queue: sessions that have keys and are not listed
}

// Repairable is how many of the findings a repair would mend.
func (r *Report) Repairable() (findings int) {
	for i := range r.Findings {
		if r.Findings[i].Repair != "" {
			findings++
		}
	}
	return findings
}

func (r *Report) add(found ...Finding) {
	r.Findings = append(r.Findings, found...)
	for _, f := range found {
		if f.Level != Unchecked && rank(f.Level) > rank(r.Result) {
			r.Result = f.Level
		}
	}
}

// Repair is what became of a finding.
type Repair struct {
	Check  string `json:"check"`
	Queue  string `json:"queue,omitempty"`
	Text   string `json:"text"`
	Mended int64  `json:"mended"`
	Left   int64  `json:"left,omitempty"` // gone by itself meanwhile, or not where it was any more
}

// Progress is how far an examination is.
type Progress struct {
	Queue    string // "" = names of keys
	Done, Of int64  // ids and entries; Of is a guess
}

// pauseBetween lets what was only on its way arrive between two rounds.
const pauseBetween = 500 * time.Millisecond
