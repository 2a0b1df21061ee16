package doctor

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/tidemill/tidemill/internal/broker"
)

// What is worth a word.
const (
	memoryTight   = 0.8  // of maxmemory
	memoryFull    = 0.95 // of it
	fragmented    = 1.5  // resident by used memory,
	fragmentedAt  = 256 << 20
	manyClients   = 0.8 // of maxclients
	slowPing      = 20 * time.Millisecond
	slowestPing   = 250 * time.Millisecond
	pings         = 25
	clockOff      = time.Second
	slowScript    = 50 * time.Millisecond
	slowlogLength = 128
)

func (h *host) memory() {
	const check = "memory"
	used, ok := h.number("used_memory")
	limit, ok2 := h.number("maxmemory")
	if !ok || !ok2 {
		h.hidden(check, "its memory")
		return
	}
	share := float64(used) / float64(max(limit, 1))
	text := fmt.Sprintf("%s of %s (%.0f%%)", bytesText(used), bytesText(limit), 100*share)
	const full = "At the limit enqueueing is refused; workers go on and make room."
	switch {
	case limit == 0:
		total, _ := h.number("total_system_memory")
		h.say(Note, check, fmt.Sprintf("%s, without a limit (maxmemory 0); the machine has %s", bytesText(used), bytesText(total)),
			"When the machine runs out, the system may kill Redis.")
	case share >= memoryFull:
		h.say(Problem, check, text, full)
	case share >= memoryTight:
		h.say(Warning, check, text, full)
	default:
		h.say(OK, check, text, "")
	}
	resident, _ := h.number("used_memory_rss")
	if used > fragmentedAt && float64(resident) > fragmented*float64(used) {
		h.say(Note, "fragmentation", fmt.Sprintf("%s resident for %s in use", bytesText(resident), bytesText(used)), "activedefrag yes gives it back.")
	}
}

func (h *host) connections() {
	const check = "connections"
	clients, ok := h.number("connected_clients")
	limit, ok2 := h.number("maxclients")
	if !ok2 {
		n, err := strconv.ParseInt(h.settings["maxclients"], 10, 64)
		limit, ok2 = n, err == nil
	}
	if !ok || !ok2 || limit == 0 {
		h.hidden(check, "its connections")
		return
	}
	text := fmt.Sprintf("%d of %d", clients, limit)
	if float64(clients) > manyClients*float64(limit) {
		h.say(Warning, check, text, "Beyond the limit new connections are refused. Raise maxclients, or lower MaxConnections of the workers.")
		return
	}
	h.say(OK, check, text, "")
	if refused, _ := h.number("rejected_connections"); refused > 0 {
		h.say(Note, check, fmt.Sprintf("refused since it was started: %d", refused), "")
	}
}

// latency pings, and holds the server's clock against this machine's: by the quickest answer, in whose middle it was read.
func (h *host) latency(ctx context.Context) error {
	var took []time.Duration
	var offset, best time.Duration
	for range pings {
		start := time.Now()
		now, err := h.Client().Time(ctx).Result()
		if err != nil {
			return err
		}
		trip := time.Since(start)
		if len(took) == 0 || trip < best {
			best, offset = trip, now.Sub(start.Add(trip/2))
		}
		took = append(took, trip)
	}
	slices.Sort(took)
	median, slowest := took[len(took)/2], took[len(took)-1]
	text := fmt.Sprintf("median %s, slowest %s of %d calls", short(median), short(slowest), pings)
	if median > slowPing || slowest > slowestPing {
		h.say(Warning, "latency", text, "Every claim and every acknowledgement takes that long.")
	} else {
		h.say(OK, "latency", text, "")
	}
	text = fmt.Sprintf("the server's is %s ahead of this machine's, give or take %s", short(offset), short(best/2))
	if offset < 0 {
		text = fmt.Sprintf("the server's is %s behind this machine's, give or take %s", short(-offset), short(best/2))
	}
	if offset.Abs()-best/2 > clockOff {
		h.say(Warning, "clock", text, "Times that are given here (when a job is due, expires or must end) mean another moment there.")
	} else {
		h.say(OK, "clock", text, "")
	}
	return nil
}

func short(d time.Duration) string {
	if d.Abs() < 10*time.Millisecond {
		return d.Round(time.Microsecond).String()
	}
	return d.Round(time.Millisecond).String()
}

// slow looks for Tidemill's scripts in the log of slow calls.
func (h *host) slow(ctx context.Context) {
	const check = "slow-calls"
	log, err := h.Client().SlowLogGet(ctx, slowlogLength).Result()
	if err != nil {
		h.hidden(check, "its log of slow calls")
		return
	}
	worst, name, n := time.Duration(0), "", 0
	for _, entry := range log {
		if len(entry.Args) < 2 {
			continue
		}
		if script := broker.ScriptName(entry.Args[1]); script != "" {
			if n++; entry.Duration > worst {
				worst, name = entry.Duration, script
			}
		}
	}
	switch {
	case n == 0:
		h.say(OK, check, fmt.Sprintf("none of Tidemill's among the last %d", len(log)), "")
	case worst > slowScript:
		h.say(Warning, check, fmt.Sprintf("Tidemill's scripts: %d, the slowest %s (%s)", n, name, short(worst)),
			"While a script runs nothing else does: the machine is busy, or payloads are very large.")
	default:
		h.say(Note, check, fmt.Sprintf("Tidemill's scripts: %d, the slowest %s (%s)", n, name, short(worst)), "")
	}
}
