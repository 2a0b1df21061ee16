package chaos

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// account is a fabricated run: ledgers by process, what was done to whom, and what Redis holds.
type account struct {
	ledgers map[string]string
	strikes []Strike
	ending  Ending
	lossy   bool
}

// at is a time of the fabricated runs, in ms.
func at(ms int64) int64 { return ms * 1000 }

// done counts one queue's jobs as Redis should have.
func done(enqueued, succeeded int64) map[string]map[string]int64 {
	return map[string]map[string]int64{"default": {"enqueued": enqueued, "succeeded": succeeded}}
}

const (
	oneAsked  = "try 1000 p0.0\nack 2000 p0.0 id-0\n"
	oneDone   = "start 10000 p0.0 id-0 9000 1 0\nend 12000 p0.0 id-0 9000 ok\n"
	oneBegun  = "start 10000 p0.0 id-0 9000 1 0\n"
	doneAgain = "start 5000000 p0.0 id-0 4990000 1 1\nend 5010000 p0.0 id-0 4990000 ok\n"
)

// judge writes the ledgers to files, reads them as a run does, and answers the rules that were broken.
func (a account) judge(t *testing.T) (rules []string, v *Verdict) {
	t.Helper()
	dir := t.TempDir()
	for process, text := range a.ledgers {
		if err := os.WriteFile(filepath.Join(dir, process+".log"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h := NewHistory(2 * time.Second)
	h.Strikes, h.Lossy = a.strikes, a.lossy
	if err := h.ReadLedgers(dir); err != nil {
		t.Fatal(err)
	}
	v = Judge(h, &a.ending)
	for _, x := range v.Violations {
		rules = append(rules, x.Rule)
	}
	slices.Sort(rules)
	return slices.Compact(rules), v
}

// kill is of the process that has oneBegun.
var kill = Strike{Kind: Kill, Process: "worker-0-1", From: at(11), To: at(11)}

// broken are runs, and the rules that they break.
var broken = map[string]struct {
	account
	want []string
}{
	"lost: never started": {account{ledgers: map[string]string{"producer-0-1": oneAsked}, ending: Ending{Counters: done(1, 1)}}, []string{Lost}},
	"lost: failed, and then gone": {account{ledgers: map[string]string{"producer-0-1": oneAsked,
		"worker-0-1": "start 10000 p0.0 id-0 9000 1 0\nend 12000 p0.0 id-0 9000 fail\n"}, ending: Ending{Counters: done(1, 1)}}, []string{Lost}},
	"lost: cut short, and then gone": {account{ledgers: map[string]string{"producer-0-1": oneAsked, "worker-0-1": oneBegun},
		strikes: []Strike{kill}, ending: Ending{Counters: done(1, 1)}}, []string{Lost}},
	"refused, and ran": {account{ledgers: map[string]string{"producer-0-1": "try 1000 p0.0\nnot 2000 p0.0 gone\n", "worker-0-1": oneDone},
		ending: Ending{Counters: done(1, 1)}}, []string{Phantom}},
	"nobody asked for it": {account{ending: Ending{Counters: done(1, 0), Seen: []Seen{{Queue: "default", ID: "id-7", Name: "p9.9", State: "dead"}}}},
		[]string{Miscounted, Phantom}},
	"created twice: two ids": {account{ledgers: map[string]string{"producer-0-1": oneAsked,
		"worker-0-1": oneDone, "worker-1-1": strings.ReplaceAll(doneAgain, "id-0", "id-1")}, strikes: []Strike{{Kind: Kill, Process: "worker-0-1", From: at(13), To: at(13)}},
		ending: Ending{Counters: done(1, 1)}}, []string{CreatedOver}},
	"created twice: one id": {account{ledgers: map[string]string{"producer-0-1": oneAsked + "try 3000 p0.0\nack 4000 p0.0 id-0\n", "worker-0-1": oneDone},
		ending: Ending{Counters: done(1, 1)}}, []string{CreatedOver}},
	"in two listings": {account{ledgers: map[string]string{"producer-0-1": oneAsked}, ending: Ending{Counters: done(2, 0),
		Seen: []Seen{{Queue: "default", ID: "id-0", Name: "p0.0", State: "dead"}, {Queue: "default", ID: "id-0", Name: "p0.0", State: "ready"}}}},
		[]string{TwoStates, Miscounted}},
	"in two keys": {account{ending: Ending{Places: map[string][]string{"default/id-0": {"tm:{default}:dead", "tm:{default}:ready:0"}}}}, []string{TwoStates}},
	"in no key":   {account{ending: Ending{Places: map[string][]string{"default/id-0": nil}}}, []string{Stranded}},
	"one claim in two processes": {account{ledgers: map[string]string{"producer-0-1": oneAsked, "worker-0-1": oneDone, "worker-1-1": oneDone},
		ending: Ending{Counters: done(1, 1)}}, []string{ClaimTwice, Unexplained}},
	"one claim started twice": {account{ledgers: map[string]string{"producer-0-1": oneAsked, "worker-0-1": oneBegun + oneDone},
		ending: Ending{Counters: done(1, 1)}}, []string{ClaimTwice}},
	"two attempts at once in a process": {account{ledgers: map[string]string{"producer-0-1": oneAsked,
		"worker-0-1": oneBegun + doneAgain + "end 6000000 p0.0 id-0 9000 ok\n"},
		strikes: []Strike{{Kind: Stop, Process: "worker-0-1", From: at(11), To: at(4000)}}, ending: Ending{Counters: done(1, 1)}}, []string{Overlap}},
	"repeated, nothing had happened": {account{ledgers: map[string]string{"producer-0-1": oneAsked, "worker-0-1": oneDone, "worker-1-1": doneAgain},
		ending: Ending{Counters: done(1, 1)}}, []string{Unexplained}},
	"repeated, another was killed": {account{ledgers: map[string]string{"producer-0-1": oneAsked, "worker-0-1": oneDone, "worker-1-1": doneAgain},
		strikes: []Strike{{Kind: Kill, Process: "worker-2-1", From: at(11), To: at(11)}}, ending: Ending{Counters: done(1, 1)}}, []string{Unexplained}},
	"repeated, it was killed later": {account{ledgers: map[string]string{"producer-0-1": oneAsked, "worker-0-1": oneDone, "worker-1-1": doneAgain},
		strikes: []Strike{{Kind: Kill, Process: "worker-0-1", From: at(6000), To: at(6000)}}, ending: Ending{Counters: done(1, 1)}}, []string{Unexplained}},
	"repeated after a clean shutdown": {account{ledgers: map[string]string{"producer-0-1": oneAsked, "worker-0-1": oneDone, "worker-1-1": doneAgain},
		strikes: []Strike{{Kind: Term, Process: "worker-0-1", From: at(11), To: at(900)}}, ending: Ending{Counters: done(1, 1)}}, []string{Unexplained}},
	"repeated after a short stop": {account{ledgers: map[string]string{"producer-0-1": oneAsked, "worker-0-1": oneDone, "worker-1-1": doneAgain},
		strikes: []Strike{{Kind: Stop, Process: "worker-0-1", From: at(11), To: at(900)}}, ending: Ending{Counters: done(1, 1)}}, []string{Unexplained}},
	"repeated after a restart of the server": {account{ledgers: map[string]string{"producer-0-1": oneAsked, "worker-0-1": oneDone, "worker-1-1": doneAgain},
		strikes: []Strike{{Kind: Restart, Way: killed, From: at(11), To: at(3000)}}, ending: Ending{Counters: done(1, 1)}}, []string{Unexplained}},
	"an attempt charged to a crash": {account{ledgers: map[string]string{"producer-0-1": oneAsked, "worker-0-1": oneBegun,
		"worker-1-1": "start 5000000 p0.0 id-0 4990000 2 1\nend 5010000 p0.0 id-0 4990000 ok\n"}, strikes: []Strike{kill}, ending: Ending{Counters: done(1, 1)}},
		[]string{Charged}},
	"fenced twice: an older effect stands": {account{ledgers: map[string]string{"producer-0-1": oneAsked, "worker-0-1": oneDone}, ending: Ending{
		Counters: done(1, 1), Seen: []Seen{{Queue: "default", ID: "id-0", Name: "p0.0", State: stateSucceeded, Token: 9500}}}}, []string{FencedTwice}},
	"fenced twice: done again after its success": {account{ledgers: map[string]string{"producer-0-1": oneAsked, "worker-0-1": oneDone, "worker-1-1": doneAgain},
		strikes: []Strike{{Kind: Kill, Process: "worker-0-1", From: at(13), To: at(13)}}, ending: Ending{
			Counters: done(1, 1), Seen: []Seen{{Queue: "default", ID: "id-0", Name: "p0.0", State: stateSucceeded, Token: 9000}}}}, []string{FencedTwice}},
	"fenced twice: begun again after its success": {account{ledgers: map[string]string{"producer-0-1": oneAsked, "worker-0-1": oneDone,
		"worker-1-1": "start 5000000 p0.0 id-0 4990000 1 1\n"}, strikes: []Strike{{Kind: Kill, Process: "worker-0-1", From: at(13), To: at(13)}}, ending: Ending{
		Counters: done(1, 1), Seen: []Seen{{Queue: "default", ID: "id-0", Name: "p0.0", State: stateSucceeded, Token: 9000}}}}, []string{FencedTwice}},
	"acknowledged twice, nothing kept": {account{ledgers: map[string]string{"producer-0-1": oneAsked, "worker-0-1": oneDone, "worker-1-1": doneAgain},
		strikes: []Strike{{Kind: Kill, Process: "worker-0-1", From: at(13), To: at(13)}}, ending: Ending{Counters: done(2, 2)}}, []string{Miscounted}},
	"an acknowledgement too few": {account{ledgers: map[string]string{"producer-0-1": oneAsked, "worker-0-1": oneDone}, ending: Ending{Counters: done(1, 0)}},
		[]string{Miscounted}},
	"ran after it was deleted": {account{ledgers: map[string]string{"producer-0-1": oneAsked, "worker-0-1": oneDone,
		"operator-0-1": "will 2500 p0.0 delete\ndid 2600 p0.0 delete\n"}, ending: Ending{Counters: done(1, 1)}}, []string{Revenant}},
	"the rest": {account{ending: Ending{Stuck: "1 ready", Leftover: []string{"tm:{default}:jobs"}, Fallen: []string{"worker-0-1: exit status 2"}}},
		[]string{FellRule, LeftRule, StuckRule}},
}

// Each promise that is broken is reported, and nothing else.
func TestJudgeFinds(t *testing.T) {
	for name, c := range broken {
		t.Run(name, func(t *testing.T) {
			slices.Sort(c.want)
			if rules, v := c.judge(t); !slices.Equal(rules, c.want) {
				t.Errorf("broken: %q, want %q\n%v", rules, c.want, v.Violations)
			}
		})
	}
}

// What is as promised is not reported, however wild it looks.
func TestJudgeLeavesAlone(t *testing.T) {
	stop := Strike{Kind: Stop, Process: "worker-0-1", From: at(11), To: at(6000)}
	slowly := "start 10000 p0.0 id-0 9000 1 0\nend 6010000 p0.0 id-0 9000 ok\n"
	for name, c := range map[string]struct {
		account
		repeats map[string]int
		refused int
	}{
		"nothing happened": {account{}, nil, 0},
		"done":             {account{ledgers: map[string]string{"producer-0-1": oneAsked, "worker-0-1": oneDone}, ending: Ending{Counters: done(1, 1)}}, nil, 0},
		"killed, done by another": {account{ledgers: map[string]string{"producer-0-1": oneAsked, "worker-0-1": oneBegun, "worker-1-1": doneAgain},
			strikes: []Strike{{Kind: Kill, Process: "worker-0-1", From: at(11), To: at(11)}}, ending: Ending{Counters: done(1, 1)}}, map[string]int{"kill": 1}, 0},
		"stopped, its effect comes late": {account{ledgers: map[string]string{"producer-0-1": oneAsked, "worker-0-1": slowly, "worker-1-1": doneAgain},
			strikes: []Strike{stop, {Kind: Starved, Process: "worker-0-1", From: at(10), To: at(6000)}}, ending: Ending{Counters: done(1, 1), Seen: []Seen{{Queue: "default", ID: "id-0", Name: "p0.0", State: stateSucceeded, Token: 4990000}}}},
			map[string]int{"stop": 1}, 1},
		"starved": {account{ledgers: map[string]string{"producer-0-1": oneAsked, "worker-0-1": oneDone + "stall 2500000 2400000\n", "worker-1-1": doneAgain},
			ending: Ending{Counters: done(1, 1)}}, map[string]int{"starved": 1}, 0},
		"cut off": {account{ledgers: map[string]string{"producer-0-1": oneAsked, "worker-0-7": oneBegun, "worker-1-1": doneAgain},
			strikes: []Strike{{Kind: Link, Way: refuse, Process: "worker-0", From: at(11), To: at(3000)}}, ending: Ending{Counters: done(1, 1)}}, map[string]int{"proxy": 1}, 0},
		"an enqueue of unknown outcome that came to nothing": {account{ledgers: map[string]string{"producer-0-1": "try 1000 p0.0\nmaybe 2000 p0.0 reset\n"},
			ending: Ending{Counters: done(0, 0)}}, nil, 0},
		"failed and retried": {account{ledgers: map[string]string{"producer-0-1": oneAsked,
			"worker-0-1": "start 10000 p0.0 id-0 9000 1 0\nend 12000 p0.0 id-0 9000 fail\n",
			"worker-1-1": "start 500000 p0.0 id-0 499000 2 0\nend 501000 p0.0 id-0 499000 ok\n"}, ending: Ending{Counters: done(1, 1)}}, nil, 0},
		"deleted": {account{ledgers: map[string]string{"producer-0-1": oneAsked, "operator-0-1": "will 2500 p0.0 delete\ndid 2600 p0.0 delete\n"},
			ending: Ending{Counters: map[string]map[string]int64{"default": {"enqueued": 1, "deleted": 1}}}}, nil, 0},
		"deleted when it had succeeded and was kept": {account{ledgers: map[string]string{"producer-0-1": oneAsked, "worker-0-1": oneDone,
			"operator-0-1": "will 11000 p0.0 delete\ndid 13000 p0.0 delete\n"}, ending: Ending{
			Counters: map[string]map[string]int64{"default": {"enqueued": 1, "succeeded": 1, "deleted": 1}}}}, nil, 0},
		"dead": {account{ledgers: map[string]string{"producer-0-1": oneAsked, "worker-0-1": "start 10000 p0.0 id-0 9000 1 0\nend 12000 p0.0 id-0 9000 dead\n"},
			ending: Ending{Counters: done(1, 0), Seen: []Seen{{Queue: "default", ID: "id-0", Name: "p0.0", State: "dead"}}}}, nil, 0},
		"a failover took an unconfirmed job": {account{lossy: true, ledgers: map[string]string{"producer-0-1": "try 1000 p0.0\nmaybe 2000 p0.0 lag\n", "worker-0-1": oneBegun},
			strikes: []Strike{{Kind: Failover, From: at(11), To: at(3000)}}, ending: Ending{Counters: done(0, 0)}}, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			rules, v := c.judge(t)
			if len(rules) > 0 {
				t.Errorf("%v", v.Violations)
			}
			if counted(v.Repeats) != counted(c.repeats) || v.Store.Refused != c.refused {
				t.Errorf("repeats %v, %d effects refused", v.Repeats, v.Store.Refused)
			}
		})
	}
}

// A line that is not whole, or says nothing, is an error: each was written at once.
func TestLedgerTorn(t *testing.T) {
	for _, text := range []string{"try 1000 p0", "try 1000\n", "huh 1000 p0\n", "start 1 p0 id x 1 0\n", "did 5 p0 delete\n", "stall 5\n", "try 1 p0 more\n"} {
		err := NewHistory(time.Second).readLedger("worker-0-1", strings.NewReader(text))
		if err == nil || !strings.Contains(err.Error(), "line 1") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
