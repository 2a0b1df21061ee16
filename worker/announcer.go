package worker

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/internal/backoff"
	"github.com/tidemill/tidemill/internal/loop"
	"github.com/tidemill/tidemill/internal/wire"
)

const (
	// announceEvery is how often a worker renews its line in the listing of workers, unless what it says has changed.
	announceEvery = time.Minute
	// silentFor is for how long others' lines may go without that before they are dropped.
	silentFor = 5 * announceEvery
)

// tryAgain is when a line that could not be written is written again, and an order read that could not be.
var tryAgain = backoff.Policy{Base: 50 * time.Millisecond, Cap: 5 * time.Second, Factor: 2, Jitter: 0.5}

// announcer keeps the worker's line in the listing of workers, drops those of workers that left without a word, and
// carries out what operators order. It lives until the last handler has returned.
type announcer struct {
	w       *Worker
	line    wire.Announcement
	changed *loop.Trigger // what the line says
	ordered *loop.Trigger // there may be a new order

	turn chan struct{} // held while the line is written, and for ever after leave

	obeyed   string    // the last order
	leveled  string    // the last order of a log level
	ordained string    // the level, where the program sets it
	swept    time.Time // when others' lines were last looked at
}

func newAnnouncer(w *Worker) *announcer {
	host, _ := os.Hostname()
	a := &announcer{w: w, changed: loop.NewTrigger(), ordered: loop.NewTrigger(), turn: make(chan struct{}, 1)}
	a.line = wire.Announcement{Host: host, PID: os.Getpid(), Version: version(), Queues: w.queueNames()}
	return a
}

// tell makes the line be written anew.
func (a *announcer) tell() {
	if a != nil { // of a worker that was not started
		a.changed.Set()
	}
}

// Run announces until ctx ends. A stop order calls stop.
func (a *announcer) Run(ctx context.Context, stop func()) error {
	a.line.Started = time.Now()
	due, failed := time.Now(), 0 // for the line
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		announce, look := true, true
		select {
		case <-ctx.Done():
			return nil
		case <-next.C:
		case <-a.changed.C():
			look = false
		case <-a.ordered.C():
			announce = false
		}
		var faults [2]error
		if announce {
			faults[0] = a.announce(ctx)
			a.dropSilent(ctx)
		}
		if look {
			faults[1] = a.obey(ctx, stop)
		}
		if announce { // an order alone does not put the line off
			due = time.Now().Add(announceEvery + jitter(announceEvery/10))
		}
		err := errors.Join(faults[:]...)
		if err == nil {
			failed = 0
		} else if ctx.Err() == nil { // soon at first: a connection that was cut is there again at once
			failed++
			due = time.Now().Add(tryAgain.Delay(failed, nil))
			a.w.outage.Event(a.w.log.Warn()).Err(err).Msg("announcing the worker failed; trying again")
		}
		next.Reset(max(time.Until(due), 0))
	}
}

// announce writes the line, once Redis knows a session: what is listed can be told what to do, as all that live are.
func (a *announcer) announce(ctx context.Context) error {
	w := a.w
	w.mu.Lock()
	if !slices.ContainsFunc(w.consumers, func(c *consumer) bool { return c.active || c.broken != nil }) {
		w.mu.Unlock()
		return nil
	}
	a.line.Concurrency, a.line.Quiet, a.line.Stopping = w.config.Concurrency, w.quiet, w.stopping
	a.line.Sessions = make(map[string]string, len(w.consumers))
	for _, c := range w.consumers {
		a.line.Sessions[c.name] = c.session
	}
	w.mu.Unlock()
	a.line.Kinds, a.line.LogLevel = w.rules.Load().kinds(), a.level()
	a.line.Seen = time.UnixMilli(w.serverNow())
	info, _ := json.Marshal(a.line)
	select {
	case <-ctx.Done():
		return nil
	case a.turn <- struct{}{}:
	}
	defer func() { <-a.turn }()
	return w.broker.Announce(ctx, w.instance, info)
}

// leave takes the line and the order away, for good.
func (a *announcer) leave(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case a.turn <- struct{}{}:
	}
	_ = a.w.broker.Withdraw(ctx, a.w.instance) // others drop it after a while
}

// obey carries out an order that is new.
func (a *announcer) obey(ctx context.Context, stop func()) error {
	order, level, err := a.w.broker.Ordered(ctx, a.w.instance)
	if err != nil {
		return err
	}
	if level != a.leveled {
		a.leveled = level
		a.setLevel(level)
	}
	if order == a.obeyed {
		return nil
	}
	a.obeyed = order
	switch word, _, _ := strings.Cut(order, " "); word {
	case wire.OrderQuiet:
		a.w.Quiet(true)
	case wire.OrderResume:
		a.w.Quiet(false)
	case wire.OrderStop:
		a.w.log.Info().Msg("told to stop by an operator")
		stop()
	case "":
	default:
		a.w.log.Warn().Str("order", order).Msg("an operator's order that this worker does not know; a newer one may")
	}
	return nil
}

// setLevel makes the worker log as an operator says: the level and when that was said.
func (a *announcer) setLevel(order string) {
	word, _, _ := strings.Cut(order, " ")
	level, err := zerolog.ParseLevel(word)
	switch {
	case order == "":
		return
	case err != nil || word == "":
		a.w.log.Warn().Str("order", order).Msg("an operator's order that this worker does not know; a newer one may")
		return
	}
	a.w.log.Warn().Str("log_level", word).Msg("an operator sets the log level")
	if set := a.w.config.SetLogLevel; set != nil {
		set(level)
		a.ordained = word
	} else {
		zerolog.SetGlobalLevel(level)
	}
	a.tell()
}

// level is from which level on the worker logs.
func (a *announcer) level() string {
	if a.ordained != "" {
		return a.ordained
	}
	return max(zerolog.GlobalLevel(), a.w.log.GetLevel(), zerolog.DebugLevel).String()
}

// dropSilent drops the lines and orders of workers that were not heard of for a while. It is for people only: what fails
// is tried again.
func (a *announcer) dropSilent(ctx context.Context) {
	if time.Since(a.swept) < silentFor {
		return
	}
	a.swept = time.Now()
	all, err := a.w.broker.Workers(ctx)
	if err != nil {
		return
	}
	var silent []string
	for instance, info := range all {
		var line wire.Announcement
		if json.Unmarshal([]byte(info), &line) != nil || time.UnixMilli(a.w.serverNow()).Sub(line.Seen) > silentFor {
			silent = append(silent, instance)
		}
	}
	ordered, _ := a.w.broker.Orders(ctx)
	for _, instance := range ordered {
		if _, there := all[instance]; !there && !slices.Contains(silent, instance) {
			silent = append(silent, instance)
		}
	}
	if len(silent) > 0 {
		_ = a.w.broker.Withdraw(ctx, silent...)
	}
}

// module is the path under which the toolchain notes the version of this package.
const module = "github.com/tidemill/tidemill"

// version is the release of this library in the program, as far as the toolchain noted it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	if info.Main.Path == module {
		return info.Main.Version
	}
	for _, dep := range info.Deps {
		if dep.Path == module {
			return dep.Version
		}
	}
	return ""
}
