package supervise

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// identity names a process for as long as it lives, also once its number is another's.
type identity struct {
	pid   int
	start uint64 // ticks since boot
}

// orphan is a process that stands below the supervisor and below no command's leader.
type orphan struct {
	identity
	ppid, group, session int
	// owners are the jobs it may belong to: one where that is known; else all there were when it was first seen, for it is a
	// descendant of one of them.
	owners []*job
}

// doomed tells whether all whose process this can be have ended.
func (o *orphan) doomed() bool {
	for _, j := range o.owners {
		if !j.gone {
			return false
		}
	}
	return true
}

// tree is the orphans and what stands below them, parents first.
type tree []*orphan

// grow looks at the processes there are now; what the former tree knew of them stays true. forks and mu are held.
func (r *reaper) grow(old tree) tree {
	known := make(map[identity]*orphan, len(old))
	for _, o := range old {
		known[o.identity] = o
	}
	var now tree
	seen := make(map[int]*orphan)
	for level := r.roots(); len(level) > 0; {
		var next []*orphan
		for _, o := range level {
			if seen[o.pid] != nil || r.byPid[o.pid] != nil {
				continue
			}
			seen[o.pid] = o
			o.owners = r.ownersOf(o, known[o.identity], seen[o.ppid])
			now = append(now, o)
			next = append(next, r.below(o.pid)...)
		}
		level = next
	}
	r.all = nil
	return now
}

// ownersOf finds whose process an orphan is: by its environment, its session or group, what was known of it before, or its
// parent.
func (r *reaper) ownersOf(o, before, parent *orphan) []*job {
	if before != nil && len(before.owners) == 1 {
		return before.owners
	}
	if id, ok := r.mark(o.pid); ok {
		if j := r.byID[id]; j != nil {
			return []*job{j}
		}
		return nil // of a job that was told to have ended: it goes at once
	}
	for _, number := range []int{o.session, o.group} {
		if j := r.byPid[number]; j != nil {
			return []*job{j}
		}
		for _, j := range r.gone {
			if j.pid == number {
				return []*job{j}
			}
		}
	}
	switch {
	case before != nil:
		return before.owners
	case parent != nil:
		return parent.owners
	}
	var all []*job
	for _, j := range r.byID {
		if j.pid != 0 {
			all = append(all, j)
		}
	}
	return all
}

// mark reads the job's id in a process's environment. Not every process shows its own: one of another user does not.
func (r *reaper) mark(pid int) (uint64, bool) {
	env, err := os.ReadFile(filepath.Join(r.proc, strconv.Itoa(pid), "environ"))
	if err != nil {
		return 0, false
	}
	for entry := range bytes.SplitSeq(env, []byte{0}) {
		if text, ok := strings.CutPrefix(string(entry), tokenName+"="+r.token+"."); ok {
			id, err := strconv.ParseUint(text, 10, 64)
			return id, err == nil
		}
	}
	return 0, false
}

// roots are the orphans: the children of the main thread, or, on kernels that do not list them, all children but leaders.
func (r *reaper) roots() []*orphan {
	main := strconv.Itoa(r.self)
	if list, err := os.ReadFile(filepath.Join(r.proc, main, "task", main, "children")); err == nil {
		r.all = nil
		return r.orphansOf(list)
	}
	r.all = r.scan()
	return r.all[r.self]
}

// below are the children of a process.
func (r *reaper) below(pid int) []*orphan {
	if r.all != nil {
		return r.all[pid]
	}
	var found []*orphan
	threads, _ := filepath.Glob(filepath.Join(r.proc, strconv.Itoa(pid), "task", "*", "children"))
	for _, file := range threads {
		if list, err := os.ReadFile(file); err == nil {
			found = append(found, r.orphansOf(list)...)
		}
	}
	return found
}

func (r *reaper) orphansOf(list []byte) []*orphan {
	var found []*orphan
	for field := range bytes.FieldsSeq(list) {
		if pid, err := strconv.Atoi(string(field)); err == nil {
			if o := r.look(pid); o != nil {
				found = append(found, o)
			}
		}
	}
	return found
}

// scan lists every process by its parent.
func (r *reaper) scan() map[int][]*orphan {
	all := make(map[int][]*orphan)
	for _, pid := range pids(r.proc) {
		if o := r.look(pid); o != nil {
			all[o.ppid] = append(all[o.ppid], o)
		}
	}
	return all
}

// pids lists the processes there are.
func pids(proc string) []int {
	dir, err := os.Open(proc)
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	found := make([]int, 0, len(names))
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			found = append(found, pid)
		}
	}
	return found
}

// look reads what the kernel tells of a process; nil if it is gone.
func (r *reaper) look(pid int) *orphan {
	stat, err := os.ReadFile(filepath.Join(r.proc, strconv.Itoa(pid), "stat"))
	if err != nil {
		return nil
	}
	return parseStat(pid, stat)
}

// parseStat reads the fields after the name, which is in parentheses and may hold any byte.
func parseStat(pid int, stat []byte) *orphan {
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 {
		return nil
	}
	o := &orphan{identity: identity{pid: pid}}
	o.ppid, _ = strconv.Atoi(fields[1])
	o.group, _ = strconv.Atoi(fields[2])
	o.session, _ = strconv.Atoi(fields[3])
	o.start, _ = strconv.ParseUint(fields[19], 10, 64)
	return o
}
