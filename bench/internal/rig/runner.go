// Package rig runs steps in processes of their own against servers of their own, run by run and system beside system, and
// sums their figures up in tables.
package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"time"
)

// Measure is one thing to measure, each time on a fresh server.
type Measure struct {
	Name string
	// Columns are the systems; ratios are to the first.
	Columns []string
	// Server is what a column needs; nil is Redis for all.
	Server func(column string) Kind
	// Limit bounds its time, beyond which its processes are killed.
	Limit time.Duration
	// Once: it is taken in the first run only, after the others, and its time does not count when the next runs are planned.
	Once bool
	// Together: its columns are taken all at once, each on a server of its own. It is for what mostly waits.
	Together bool
	// Points: its columns are points of curves, such as "asynq@10". Its table has a line for each and no ratios.
	Points bool
	// Headline names the metrics that are shown at the top of the document; none is none.
	Headline []string
	Run      func(ctx context.Context, column string, b Broker) ([]Metric, error)
}

// Plan is a whole benchmark.
type Plan struct {
	Runs    int
	Within  time.Duration // no run begins that would likely end after this, but AtLeast as many do. 0 is no bound
	AtLeast int           // 0 is one
	// Shrink, if there is one, has the runs that come do a part of the work, so that as many as AtLeast fit, and says so.
	Shrink   func(part float64) string
	Measures []Measure
	Header   []string // lines above the tables
	Remarks  []string // lines below, such as what was left out
	Own      string   // the column that is compared with the best of the others too; none is none
	Versions map[string]string
	Config   any // for the JSON
	JSON     bool
	// Write, if there is one, writes what is printed elsewhere too.
	Write func(*Report) error
}

// Remark is no failure: a line below the tables in place of figures.
type Remark string

func (r Remark) Error() string { return string(r) }

// Main carries a plan out and prints its report. It returns the exit code: 0 done, 1 a step failed.
func Main(ctx context.Context, plan Plan, stdout, stderr io.Writer) int {
	// Children die with the thread that started them (see dieWithParent), so all are started from this goroutine, locked to
	// its thread. A child must not do the same: a locked goroutine is slow to wake.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	rep, err := runAll(ctx, plan, stderr)
	if err == nil && plan.JSON {
		err = rep.writeJSON(stdout)
	} else if err == nil {
		err = rep.writeTables(stdout)
	}
	if err == nil && plan.Write != nil {
		err = plan.Write(rep)
	}
	if err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	if rep.failed() {
		return 1
	}
	return 0
}

// runAll takes every measure of every system in every run: run by run, measure by measure, and system beside system. The
// system that goes first changes from run to run. A failed step is kept in the report, and the rest goes on; only an
// interrupt ends the run.
func runAll(ctx context.Context, plan Plan, progress io.Writer) (*Report, error) {
	rep := newReport(plan)
	start, within := time.Now(), plan.Within
	var aside, last time.Duration // spent on what is taken once, and on the last run without that
	defer func() { rep.Took = time.Since(start) }()
	// What is taken once comes after the first run, so that it is there however few fit.
	for run := range plan.Runs {
		if spent := time.Since(start) - aside; run > 0 && run < plan.AtLeast && within > 0 {
			rep.shrink(run, time.Since(start), last)
		} else if !fits(spent, run, within) {
			rep.Remarks = append(rep.Remarks, fmt.Sprintf("%d of %d runs: another would not have fitted into %v", run, plan.Runs, plan.Within))
			break
		}
		rep.Runs = run + 1
		began := time.Now()
		if err := rep.takeAll(ctx, run, false, progress); err != nil {
			return nil, err
		}
		last = time.Since(began)
		if run > 0 {
			continue
		}
		began = time.Now()
		if err := rep.takeAll(ctx, run, true, progress); err != nil {
			return nil, err
		}
		aside = time.Since(began)
		if within > 0 {
			within = max(1, within-aside)
		}
	}
	return rep, nil
}

// takeAll takes the measures of one run, or those that are taken once.
func (r *Report) takeAll(ctx context.Context, run int, once bool, progress io.Writer) error {
	for _, m := range r.plan.Measures {
		if m.Once != once {
			continue
		}
		for _, res := range r.take(ctx, run, m, progress) {
			if ctx.Err() != nil {
				return fmt.Errorf("interrupted: %w", ctx.Err())
			}
			r.Results = append(r.Results, res)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("interrupted: %w", ctx.Err())
		}
	}
	return nil
}

// take takes one measure of all systems, one after the other or all at once.
func (r *Report) take(ctx context.Context, run int, m Measure, progress io.Writer) []Result {
	out := make([]Result, len(m.Columns))
	one := func(i int) {
		out[i] = r.takeOne(ctx, run, m, m.Columns[(i+run)%len(m.Columns)], progress)
	}
	var all sync.WaitGroup
	for i := range m.Columns {
		if ctx.Err() != nil {
			break
		}
		if !m.Together {
			one(i)
			continue
		}
		all.Go(func() {
			// As in Main: its children die with its thread.
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			one(i)
		})
	}
	all.Wait()
	return out
}

// takeOne takes one measure of one system.
func (r *Report) takeOne(ctx context.Context, run int, m Measure, column string, progress io.Writer) Result {
	res := Result{Run: run + 1, Measure: m.Name, System: column}
	began := time.Now()
	metrics, err := r.runOne(ctx, m, column)
	r.mu.Lock()
	defer r.mu.Unlock()
	var remark Remark
	switch {
	case errors.As(err, &remark):
		if line := column + ", " + m.Name + ": " + string(remark); !slices.Contains(r.Remarks, line) {
			r.Remarks = append(r.Remarks, line)
		}
	case err != nil:
		res.Error = err.Error()
	}
	res.Metrics = metrics
	fmt.Fprintf(progress, "run %d/%d  %-11s %-16s %5.1f s  %s\n", run+1, r.plan.Runs, m.Name, column, time.Since(began).Seconds(), res.headline())
	return res
}

// shrink has the runs up to the least number share what is left of the time, where as many like the last one would take more.
func (r *Report) shrink(run int, passed, last time.Duration) {
	part := partOf((r.plan.Within-passed)/time.Duration(r.plan.AtLeast-run), last)
	if part == 1 || r.plan.Shrink == nil {
		return
	}
	if line := r.plan.Shrink(part); !slices.Contains(r.Remarks, line) {
		r.Remarks = append(r.Remarks, line)
	}
}

// partOf is the part of the work with which a run that takes some time ends within what is left. A third of its time is held
// to be waiting, whatever the work; and a tenth of the work is the least.
func partOf(left, took time.Duration) float64 {
	const waiting, least = 1.0 / 3, 0.1
	return min(1, max(least, (left.Seconds()/took.Seconds()-waiting)/(1-waiting)))
}

// fits says whether a run more, as long as those so far were, ends within a time.
func fits(spent time.Duration, runs int, within time.Duration) bool {
	return runs == 0 || within == 0 || spent+spent/time.Duration(runs) <= within
}

// runOne takes one measure of one system on a server of its own.
func (r *Report) runOne(ctx context.Context, m Measure, column string) ([]Metric, error) {
	ctx, cancel := context.WithTimeout(ctx, m.Limit)
	defer cancel()
	kind := Redis
	if m.Server != nil {
		kind = m.Server(column)
	}
	srv, err := startServer(ctx, kind)
	if err != nil {
		return nil, err
	}
	defer srv.stop()
	r.mu.Lock()
	r.Servers[kind] = srv.version
	r.mu.Unlock()
	metrics, err := m.Run(ctx, column, srv.Broker)
	return metrics, errors.Join(err, keepCommands(ctx, srv.Broker, m.Name, column))
}
