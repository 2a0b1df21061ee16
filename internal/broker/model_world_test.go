package broker_test

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/wire"
)

const (
	modelTTL   = int64(6000) // ms
	modelLimit = 3           // crashes
	suspects   = 10          // the place of the suspect list among the ready lists
	keepDead   = int64(7_776_000_000)
	stampFor   = int64(600_000)
)

// place is where a job is.
type place string

const (
	ready     place = "READY"
	scheduled place = "SCHEDULED"
	running   place = "RUNNING"
	dead      place = "DEAD"
	finished  place = "FINISHED"
)

// job is what the model knows of one job. Where the scripts count generations, the model marks list entries.
type job struct {
	id       uuid.UUID
	envelope []byte
	priority int
	keep     int64 // retention
	at       place
	score    int64 // due, claim token, time of death, end of retention
	session  string
	record   *wire.State // nil = none; Generation is not modelled
	ghosts   int
	result   string
	mark     int64 // claim token to cancel
}

// entry is one entry of a list: the live one of a ready job, or stale.
type entry struct {
	id   uuid.UUID
	live bool
}

// laneState is the record of a lane's or producer's last call.
type laneState struct {
	seq    uint64
	at     int64
	answer any
}

// world is the reference model of one queue: plain Go, a transition a method, and no idea of how the scripts do it.
type world struct {
	jobs      map[uuid.UUID]*job
	tombs     map[uuid.UUID]int
	lists     [11][]entry // by priority, and the suspects
	sessions  map[string]int64
	lanes     map[string]map[string]laneState
	producers map[string]laneState
	counters  map[string]int64
	token     int64
	paused    bool
	wakes     int
	dues      int
	beat      int64
	guard     int64 // no recovery until
}

func newWorld() *world {
	return &world{jobs: map[uuid.UUID]*job{}, tombs: map[uuid.UUID]int{}, sessions: map[string]int64{},
		lanes: map[string]map[string]laneState{}, producers: map[string]laneState{}, counters: map[string]int64{}}
}

func nowUS() int64 { return time.Now().UnixMicro() }
func nowMS() int64 { return time.Now().UnixMilli() }

func (w *world) count(name string, n int) {
	if n != 0 {
		w.counters[name] += int64(n)
	}
}

func (w *world) wake(want int) {
	if !w.paused {
		w.wakes = max(w.wakes, want)
	}
}

// in lists the jobs at a place, by score and then by id, as sorted sets do.
func (w *world) in(at place) []*job {
	var out []*job
	for _, j := range w.jobs {
		if j.at == at {
			out = append(out, j)
		}
	}
	slices.SortFunc(out, func(a, b *job) int {
		if a.score != b.score {
			return int(max(-1, min(1, a.score-b.score)))
		}
		return slices.Compare(a.id[:], b.id[:])
	})
	return out
}

// runs lists what a session runs, by token.
func (w *world) runs(session string) []*job {
	return slices.DeleteFunc(w.in(running), func(j *job) bool { return j.session != session })
}

func (w *world) headDue() int64 {
	if all := w.in(scheduled); len(all) > 0 {
		return all[0].score
	}
	return 0
}

// arm gives out a due token where the first scheduled job is due at another time than before.
func (w *world) arm(before int64) {
	if after := w.headDue(); after != 0 && after != before && w.dues < 2 {
		w.dues++
	}
}

func (w *world) list(j *job) int {
	if j.record != nil && j.record.Flags&wire.Suspect != 0 {
		return suspects
	}
	return j.priority
}

// push makes a job ready at the back (or front) of its list.
func (w *world) push(j *job, front bool) {
	j.at, j.score, j.session = ready, 0, ""
	at := w.list(j)
	if front {
		w.lists[at] = slices.Insert(w.lists[at], 0, entry{j.id, true})
	} else {
		w.lists[at] = append(w.lists[at], entry{j.id, true})
	}
}

// ensure gives a job a record.
func (j *job) ensure() *wire.State {
	if j.record == nil {
		j.record = &wire.State{}
	}
	return j.record
}

// abandon makes the list entry of a ready job stale.
func (w *world) abandon(j *job) {
	at := w.list(j)
	for i := range w.lists[at] {
		if w.lists[at][i].id == j.id && w.lists[at][i].live {
			w.lists[at][i].live = false
		}
	}
	j.ensure()
	j.ghosts++
}

// pop takes the first entry off a list and answers its job, or nil where the entry was stale.
func (w *world) pop(at int) *job {
	e := w.lists[at][0]
	w.lists[at] = w.lists[at][1:]
	if e.live {
		return w.jobs[e.id]
	}
	if n, tomb := w.tombs[e.id]; tomb {
		if n == 1 {
			delete(w.tombs, e.id)
		} else {
			w.tombs[e.id] = n - 1
		}
	} else {
		w.jobs[e.id].ghosts--
	}
	return nil
}

// bury forgets a job; its id stays taken while stale entries remain.
func (w *world) bury(j *job) {
	delete(w.jobs, j.id)
	if j.ghosts > 0 {
		w.tombs[j.id] = j.ghosts
	}
}

// retire ends a job otherwise than in success.
func (w *world) retire(j *job, flag uint8) {
	if j.keep == 0 {
		w.bury(j)
		return
	}
	r := j.ensure()
	r.Flags = r.Flags&^wire.Suspect | flag
	j.at, j.score, j.session, j.mark = finished, nowMS()+j.keep, "", 0
}

// held answers the job if the session runs it under this token.
func (w *world) held(session string, id uuid.UUID, token int64) *job {
	j := w.jobs[id]
	if j == nil || j.at != running || j.session != session || j.score != token {
		return nil
	}
	return j
}

// covered tells whether a call that read these sessions knows every place where a job can run.
func (w *world) covered(read []string) bool {
	for s := range w.sessions {
		if !slices.Contains(read, s) {
			return false
		}
	}
	return true
}

// lost tells whether a session may not write.
func (w *world) lost(session string) bool {
	expiry, known := w.sessions[session]
	return !known || expiry < 0
}

func (w *world) lane(session, lane string) laneState { return w.lanes[session][lane] }

func (w *world) setLane(session, lane string, s laneState) {
	if w.lanes[session] == nil {
		w.lanes[session] = map[string]laneState{}
	}
	w.lanes[session][lane] = s
}
