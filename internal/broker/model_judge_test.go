package broker_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/wire"
)

// found is the queue as its keys say, read without any of the broker's code.
type found struct {
	jobs, records, results, cancels, meta map[string]string
	lists                                 [11][]string
	zsets                                 map[string]map[string]float64 // by place, running:<session> and sessions
	wakes, dues                           int
	keys                                  []string
}

func (r *runner) read() found {
	m, q := r.bubble.M, r.q
	f := found{zsets: map[string]map[string]float64{}}
	hash := func(key string) map[string]string {
		out := map[string]string{}
		if fields, err := m.HKeys(key); err == nil {
			for _, field := range fields {
				out[field] = m.HGet(key, field)
			}
		}
		return out
	}
	f.jobs, f.records, f.results = hash(q.Key(keys.Jobs)), hash(q.Key(keys.State)), hash(q.Key(keys.Results))
	f.cancels, f.meta = hash(q.Key(keys.Cancels)), hash(q.Key(keys.Meta))
	for p := range 10 {
		f.lists[p], _ = m.List(q.Key(keys.Ready + p))
	}
	f.lists[suspects], _ = m.List(q.Key(keys.Suspect))
	wakes, _ := m.List(q.Key(keys.Wake))
	dues, _ := m.List(q.Key(keys.Due))
	f.wakes, f.dues = len(wakes), len(dues)
	f.keys = m.Keys()
	sorted := map[string]string{"SCHEDULED": q.Key(keys.Scheduled), "DEAD": q.Key(keys.Dead), "FINISHED": q.Key(keys.Finished),
		"sessions": q.Key(keys.Sessions)}
	for _, key := range f.keys {
		if session, ok := strings.CutPrefix(key, q.Running("")); ok {
			sorted["RUNNING "+session] = key
		}
	}
	for name, key := range sorted {
		f.zsets[name], _ = m.SortedSet(key)
	}
	return f
}

// stale tells whether a list entry is: its job is gone, or has moved since.
func (f found) stale(e string) bool {
	id := e[:16]
	envelope, known := f.jobs[id]
	if !known || len(envelope) == 2 {
		return true
	}
	generation, listed := byte(0), byte(0)
	if record := f.records[id]; record != "" {
		generation = record[2]
	}
	if len(e) == 17 {
		listed = e[16]
	}
	return generation != listed
}

// judge holds what is in Redis against the rules that need no model, then against the model.
func (r *runner) judge() {
	f := r.read()
	for _, rule := range []func(found){r.conserved, r.ghostsCounted, r.nothingOrphaned, r.likeModel, r.listsLikeModel, r.metaLikeModel} {
		if rule(f); r.bad != "" {
			return
		}
	}
}

// conserved: every job is in exactly one place.
func (r *runner) conserved(f found) {
	places := map[string][]string{}
	for at, list := range f.lists {
		for _, e := range list {
			if !f.stale(e) {
				places[e[:16]] = append(places[e[:16]], fmt.Sprint("list ", at))
			}
		}
	}
	tokens := map[float64]bool{}
	for name, set := range f.zsets {
		for id, score := range set {
			if name == "sessions" {
				continue
			}
			places[id] = append(places[id], name)
			if strings.HasPrefix(name, "RUNNING") {
				if last, _ := strconv.ParseFloat(f.meta["token"], 64); tokens[score] || score > last {
					r.fail("token %.0f of %x is given twice or ahead of the counter", score, id)
				}
				tokens[score] = true
			}
		}
	}
	for id, envelope := range f.jobs {
		if len(envelope) > 2 && len(places[id]) != 1 {
			r.fail("job %x is in %v", id, places[id])
		}
	}
	for id, at := range places {
		if len(f.jobs[id]) <= 2 {
			r.fail("%x is in %v and is no job", id, at)
		}
	}
}

// ghostsCounted: stale entries are counted for each job and in all, so depth = length - ghosts.
func (r *runner) ghostsCounted(f found) {
	stale, all, among := map[string]int{}, 0, 0
	for at, list := range f.lists {
		for _, e := range list {
			if f.stale(e) {
				stale[e[:16]]++
				all++
				if at == suspects {
					among++
				}
			}
		}
	}
	for id, envelope := range f.jobs {
		counted := 0
		if len(envelope) == 2 {
			counted = int(envelope[1])
		} else if record := f.records[id]; record != "" {
			counted = int(record[3])
		}
		if counted != stale[id] {
			r.fail("%x has %d stale entries and counts %d", id, stale[id], counted)
		}
		delete(stale, id)
	}
	if len(stale) > 0 {
		r.fail("stale entries of jobs that nobody knows: %v", stale)
	}
	for field, n := range map[string]int{"ghosts": all, "suspect_ghosts": among} {
		if counted, _ := strconv.Atoi(f.meta[field]); counted != n {
			r.fail("there are %d %s, counted are %d", n, field, counted)
		}
	}
}

// nothingOrphaned: records, results and marks go with their jobs, marks with their claims.
func (r *runner) nothingOrphaned(f found) {
	for what, fields := range map[string]map[string]string{"record": f.records, "result": f.results, "mark": f.cancels} {
		for id := range maps.Keys(fields) {
			if len(f.jobs[id]) <= 2 {
				r.fail("the %s of %x outlived it", what, id)
			}
		}
	}
	for id, mark := range f.cancels {
		runs := false
		for name, set := range f.zsets {
			if token, ok := set[id]; ok && strings.HasPrefix(name, "RUNNING") && fmt.Sprintf("%.0f", token) == mark {
				runs = true
			}
		}
		if !runs {
			r.fail("%x is marked under %s and does not run so", id, mark)
		}
	}
}

// likeModel: each job is where the model has it, with the same record.
func (r *runner) likeModel(f found) {
	if len(f.jobs) != len(r.w.jobs)+len(r.w.tombs) {
		r.fail("%d jobs and tombstones, should be %d and %d", len(f.jobs), len(r.w.jobs), len(r.w.tombs))
	}
	for id, n := range r.w.tombs {
		if f.jobs[string(id[:])] != string([]byte{0, byte(n)}) {
			r.fail("%v should be a tombstone of %d, is %x", id, n, f.jobs[string(id[:])])
		}
	}
	for id, j := range r.w.jobs {
		key := string(id[:])
		if f.jobs[key] != string(j.envelope) || f.results[key] != j.result {
			r.fail("job %x has envelope %x and result %q, should be %x and %q", key, f.jobs[key], f.results[key], j.envelope, j.result)
		}
		name := string(j.at)
		if j.at == running {
			name += " " + j.session
		}
		if score, ok := f.zsets[name][key]; j.at != ready && (!ok || int64(score) != j.score) {
			r.fail("job %x should be %s at %d, is at %.0f (%v)", key, name, j.score, score, ok)
		}
		var got *wire.State
		if raw := f.records[key]; raw != "" {
			got = decoded([]byte(raw))
			got.Generation = 0
		}
		if is, should := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", recordOf(j)); is != should {
			r.fail("the record of %x is %s, should be %s", key, is, should)
		}
		if mark, _ := strconv.ParseInt(f.cancels[key], 10, 64); mark != j.mark {
			r.fail("job %x is marked %d, should be %d", key, mark, j.mark)
		}
	}
}

func (r *runner) listsLikeModel(f found) {
	for at, list := range f.lists {
		var is []entry
		for _, e := range list {
			is = append(is, entry{uuid.UUID([]byte(e[:16])), !f.stale(e)})
		}
		if !slices.Equal(is, r.w.lists[at]) {
			r.fail("list %d holds %v, should hold %v", at, is, r.w.lists[at])
		}
	}
}

func (r *runner) metaLikeModel(f found) {
	if f.wakes != r.w.wakes || f.dues != r.w.dues {
		r.fail("%d wake and %d due tokens, should be %d and %d", f.wakes, f.dues, r.w.wakes, r.w.dues)
	}
	sessions := map[string]int64{}
	for s, expiry := range f.zsets["sessions"] {
		sessions[s] = int64(expiry)
	}
	if !maps.Equal(sessions, r.w.sessions) {
		r.fail("sessions %v, should be %v", sessions, r.w.sessions)
	}
	want := map[string]int64{"token": r.w.token, "beat": r.w.beat, "no_recover_until": r.w.guard, "paused": 0}
	if r.w.paused {
		want["paused"] = 1
	}
	for name, n := range r.w.counters {
		want[name] = n
	}
	for name, n := range want {
		if got, _ := strconv.ParseInt(f.meta[name], 10, 64); got != n {
			r.fail("%s is %d, should be %d", name, got, n)
		}
	}
	for _, key := range f.keys {
		if session, ok := strings.CutPrefix(key, r.q.Lanes("")); ok && r.w.lanes[session] == nil {
			r.fail("%s is left", key)
		}
	}
	if n := len(r.bubble.M.Keys()); n > 23+2*len(r.w.sessions) {
		r.fail("%d keys: %v", n, f.keys)
	}
}
