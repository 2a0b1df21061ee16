package brokertest

import (
	"bytes"
	"fmt"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/wire"
)

// start is where a listing of a state begins.
func start(state broker.State) broker.Place {
	if state == broker.StateReady {
		return broker.Place{Priority: wire.MaxPriority}
	}
	return broker.Place{}
}

// page reads one page.
func (e *env) page(state broker.State, count int, from broker.Place) broker.Page {
	e.Helper()
	p, err := e.b.List(e.ctx, e.q, state, count, from)
	e.must(err)
	if len(p.Jobs) > count {
		e.Fatalf("%d jobs on a page of %d", len(p.Jobs), count)
	}
	return p
}

// list reads pages to the end; between is called after each but the last.
func (e *env) list(state broker.State, count int, from broker.Place, between ...func()) []broker.Listed {
	e.Helper()
	var out []broker.Listed
	for calls := 0; ; calls++ {
		p := e.page(state, count, from)
		out = append(out, p.Jobs...)
		if p.Done {
			return out
		}
		if n := len(p.Jobs); n > 0 && calls%5 == 0 && p.Next != p.Jobs[n-1].Place {
			// Behind the last job there may stand stale entries, which the next page need not pass again.
			e.equal("what follows the page's last job", e.follow(state, p.Jobs[n-1].Place), e.follow(state, p.Next))
		}
		from = p.Next
		for _, act := range between {
			act()
		}
		if calls > 2000 {
			e.Fatal("the listing comes to no end")
		}
	}
}

// follow is the next job from a place on, if any.
func (e *env) follow(state broker.State, from broker.Place) []int {
	e.Helper()
	for {
		p := e.page(state, 1, from)
		if from = p.Next; len(p.Jobs) > 0 || p.Done {
			return numbers(p.Jobs)
		}
	}
}

func numbers(jobs []broker.Listed) []int {
	var out []int
	for i := range jobs {
		out = append(out, int(jobs[i].ID[14])<<8|int(jobs[i].ID[15]))
	}
	return out
}

func (e *env) listed(state broker.State, count int, want ...int) {
	e.Helper()
	e.equal(fmt.Sprintf("%s by %d", state, count), numbers(e.list(state, count, start(state))), want)
}

func span(from, to int) []int {
	var out []int
	for n := from; n <= to; n++ {
		out = append(out, n)
	}
	return out
}

// claimOnce does once what must happen between two pages.
func once(act func()) func() {
	done := false
	return func() {
		if !done {
			done = true
			act()
		}
	}
}

// kill makes the jobs from..to dead, in this order.
func (e *env) kill(from, to int) {
	e.Helper()
	e.add(from, to)
	for n := from; n <= to; {
		jobs := e.claim("s", min(250, to-n+1))
		n += len(jobs)
		e.settle("s", string(bytes.Repeat([]byte("o"), len(jobs))), settles(jobs, broker.Dead, 0)...)
	}
}

func unique(list []int) map[int]bool {
	out := make(map[int]bool)
	for _, n := range list {
		out[n] = true
	}
	return out
}
