package supervise

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// fakeProc is a /proc of a kernel that lists children, or of one that does not. Process 100 is the supervisor.
type fakeProc struct {
	*testing.T
	root   string
	listed bool
}

func (f *fakeProc) add(pid, ppid, group, session int, env string) {
	f.Helper()
	f.write(pid, "stat", fmt.Sprintf("%d (a) b( c) S %d %d %d 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 %d 0 0", pid, ppid, group, session, 1000+pid))
	f.write(pid, "environ", env)
	if !f.listed {
		return
	}
	f.write(pid, fmt.Sprintf("task/%d/children", pid), "")
	file := filepath.Join(f.root, fmt.Sprint(ppid), "task", fmt.Sprint(ppid), "children")
	list, _ := os.ReadFile(file)
	f.write(ppid, fmt.Sprintf("task/%d/children", ppid), string(list)+fmt.Sprintf("%d ", pid))
}

func (f *fakeProc) write(pid int, name, text string) {
	f.Helper()
	file := filepath.Join(f.root, fmt.Sprint(pid), name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		f.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		f.Fatal(err)
	}
}

// TestTree finds orphans and whose they are, on both kinds of kernel.
func TestTree(t *testing.T) {
	for _, listed := range []bool{true, false} {
		t.Run(fmt.Sprintf("listed=%v", listed), func(t *testing.T) {
			f := &fakeProc{T: t, root: t.TempDir(), listed: listed}
			if err := os.MkdirAll(filepath.Join(f.root, "self"), 0o755); err != nil {
				t.Fatal(err)
			}
			if listed {
				f.write(100, "task/100/children", "")
			}
			running, ended := &job{id: 1, pid: 200}, &job{id: 2, pid: 300, gone: true}
			r := &reaper{proc: f.root, self: 100, gone: []*job{ended}, server: &server{
				token: "tok", byID: map[uint64]*job{1: running, 2: ended}, byPid: map[int]*job{200: running},
			}}
			if !listed { // where children are listed, leaders are another thread's
				f.add(200, 100, 200, 200, "")
			}
			f.add(310, 100, 300, 300, "")                                     // by its session
			f.add(311, 310, 311, 311, "")                                     // by its parent
			f.add(312, 100, 312, 312, "A=1\x00TIDEMILL_SUPERVISED=tok.2\x00") // by its environment
			f.add(210, 100, 210, 210, "TIDEMILL_SUPERVISED=tok.1\x00")        // of the one that runs
			f.add(211, 210, 211, 211, "TIDEMILL_SUPERVISED=another.2\x00")    // below it; supervised by one of its own
			f.add(400, 100, 400, 400, "XTIDEMILL_SUPERVISED=tok.2\x00")       // of one of the two
			f.add(500, 100, 500, 500, "TIDEMILL_SUPERVISED=tok.9\x00")        // of one that is over
			f.add(900, 1, 900, 900, "TIDEMILL_SUPERVISED=tok.2\x00")          // not ours
			want := map[int][]uint64{310: {2}, 311: {2}, 312: {2}, 210: {1}, 211: {1}, 400: {1, 2}, 500: nil}
			doomed := []int{310, 311, 312, 500}

			check := func(tree tree) {
				t.Helper()
				got := make(map[int]bool)
				for _, o := range tree {
					var ids []uint64
					for _, j := range o.owners {
						ids = append(ids, j.id)
					}
					slices.Sort(ids)
					if got[o.pid] = true; !slices.Equal(ids, want[o.pid]) {
						t.Errorf("process %d is of %v, want %v", o.pid, ids, want[o.pid])
					}
					if o.doomed() != slices.Contains(doomed, o.pid) {
						t.Errorf("process %d is doomed: %v", o.pid, o.doomed())
					}
				}
				if len(got) != len(want) {
					t.Errorf("found %v", got)
				}
			}
			first := r.grow(nil)
			check(first)

			// What is known of a process stays true when its parent is gone, and a job that came later is not its owner.
			f.add(311, 100, 311, 311, "")
			later := &job{id: 3, pid: 600}
			r.byID[3], r.byPid[600] = later, later
			check(r.grow(first))
		})
	}
}

func TestStat(t *testing.T) {
	for _, text := range []string{"", "1", "1 (a) S", "1 (a) S 1 1 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0"} {
		if o := parseStat(1, []byte(text)); o != nil {
			t.Errorf("%q is %+v", text, o)
		}
	}
}
