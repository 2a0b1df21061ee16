package worker

import (
	"context"
	"strings"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/bus"
	"github.com/tidemill/tidemill/internal/conn"
)

// listen takes hints from the control channel: they save waiting for a heartbeat, which finds the truth in Redis.
func (w *Worker) listen(ctx context.Context, line *conn.Line) error {
	err := bus.Run(w.log.WithContext(ctx), line.Client(), []string{w.broker.Space().Control()}, control{w})
	if err != nil && ctx.Err() == nil {
		// Without hints everything still works, within a heartbeat.
		w.log.Warn().Err(err).Msg("the control channel is not to be had: cancel and pause take up to a heartbeat")
	}
	return nil
}

type control struct{ w *Worker }

// Connected: what was said meanwhile may be missed, so the truth is read again.
func (c control) Connected() { c.w.keeper.now.Set() }

// Message is one hint: "cancel <queue> <id>" or "look <queue>".
func (c control) Message(_, payload string) {
	words := strings.Fields(payload)
	switch {
	case len(words) == 3 && words[0] == "cancel":
		c.w.cancelHint(words[1], words[2])
	case len(words) == 2 && words[0] == "look":
		for _, one := range c.w.consumers {
			if one.name == words[1] {
				c.w.keeper.now.Set()
			}
		}
	}
}

// cancelHint ends a handler whose job was marked. The mark is known to be there: it was set before the hint was sent.
func (w *Worker) cancelHint(name, id string) {
	uid, err := uuid.Parse(id)
	if err != nil {
		return
	}
	for _, c := range w.consumers {
		if c.name != name {
			continue
		}
		found := false
		w.mu.Lock()
		c.each(func(r *run) { found = found || r.claim.ID == uid && r.phase <= started })
		w.mu.Unlock()
		if found {
			w.keeper.now.Set() // the heartbeat's answer names the claim that is marked
		}
	}
}
