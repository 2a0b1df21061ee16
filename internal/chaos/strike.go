//go:build unix

package chaos

import (
	"context"
	"sync"
	"syscall"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
)

const (
	killSignal = syscall.SIGKILL
	// restartWithin is generous: a loaded machine is slow, not broken.
	restartWithin = 3 * time.Minute
)

// strikes carries the plan out, each fault at its time and beside the others, and returns when the last is over. When
// ctx ends no other begins, and those that last end at once.
func (a *arena) strikes(ctx context.Context, plan []Fault) {
	var all sync.WaitGroup
	start := time.Now()
	for _, f := range plan {
		all.Go(func() {
			if pause(ctx, time.Until(start.Add(f.At))); ctx.Err() != nil {
				return
			}
			s := Strike{Kind: f.Kind, Way: f.Way, From: time.Now().UnixMicro()}
			hit, err := a.strike(ctx, f, &s)
			if err != nil {
				a.fail(err)
			}
			if hit {
				s.To = max(s.To, s.From)
				a.mu.Lock()
				a.report = append(a.report, s)
				a.mu.Unlock()
			}
		})
	}
	all.Wait()
}

// strike does one fault and answers whether it hit anything.
func (a *arena) strike(ctx context.Context, f Fault, s *Strike) (hit bool, err error) {
	switch f.Kind {
	case Flush:
		return a.flush(ctx), nil
	case Restart:
		return true, a.restart(ctx, f, s)
	case Failover:
		return true, a.failover(ctx, s)
	case Link:
		return a.cutLink(ctx, f, s), nil
	}
	at := a.slots[f.Role][f.Slot]
	victim := at.aim(f.Kind != Stop)
	if victim == nil {
		return false, nil
	}
	s.Process = victim.name
	switch f.Kind {
	case Kill:
		if err := victim.signal(syscall.SIGKILL); err != nil {
			return false, err
		}
		<-victim.done
	case Term:
		if err := victim.signal(syscall.SIGTERM); err != nil {
			return false, err
		}
		<-victim.done // its drain is bounded
		s.To, s.Unclean = time.Now().UnixMicro(), victim.cmd.ProcessState.ExitCode() != 0
	case Stop:
		if err := victim.signal(syscall.SIGSTOP); err != nil {
			return false, err
		}
		pause(ctx, f.For)
		err := victim.signal(syscall.SIGCONT)
		s.To = time.Now().UnixMicro()
		return true, err
	}
	pause(ctx, f.For)
	return true, at.start()
}

// flush has the server forget its scripts, where it is there to be told.
func (a *arena) flush(ctx context.Context) bool {
	return a.client.Redis().ScriptFlush(ctx).Err() == nil
}

// restart takes the server away for a while.
func (a *arena) restart(ctx context.Context, f Fault, s *Strike) error {
	a.outage.Lock()
	defer a.outage.Unlock()
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), restartWithin)
	defer cancel()
	s.From = time.Now().UnixMicro()
	defer func() { s.To = time.Now().UnixMicro() }()
	if f.Way == frozen {
		if err := a.server.Freeze(); err != nil {
			return err
		}
		pause(ctx, f.For)
		return a.server.Thaw()
	}
	if f.Way == killed {
		a.server.Kill()
	} else if err := a.server.Stop(within); err != nil {
		return err
	}
	pause(ctx, f.For)
	return a.server.Restart(within)
}

// cutLink hurts the connections of one slot, whoever lives there.
func (a *arena) cutLink(ctx context.Context, f Fault, s *Strike) bool {
	if a.slots[f.Role][f.Slot].finished() {
		return false
	}
	proxy := a.links[f.Role][f.Slot]
	proxy.Lock()
	defer proxy.Unlock()
	s.Process, s.From = slotName(f.Role, f.Slot), time.Now().UnixMicro()
	all := redistest.On()
	switch f.Way {
	case cut:
		proxy.Cut()
	case refuse:
		proxy.Refuse(true)
		proxy.Cut()
		pause(ctx, f.For)
		proxy.Refuse(false)
	case slow:
		proxy.DelayReply(all, time.Duration(f.Part*float64(a.o.TTL)/8))
		pause(ctx, f.For)
		proxy.DelayReply(nil, 0)
	case silent:
		proxy.DelayReply(all, time.Hour)
		pause(ctx, f.For)
		proxy.DelayReply(nil, 0)
		proxy.Cut()
	case late:
		release := proxy.HoldRequest(oneIn(1+int(10*f.Part), a.o.Seed, uint64(f.At)))
		pause(ctx, f.For)
		release()
	}
	s.To = time.Now().UnixMicro()
	return true
}
