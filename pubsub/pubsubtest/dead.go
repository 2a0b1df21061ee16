package pubsubtest

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"github.com/tidemill/tidemill/pubsub"
)

// groupOf is how a group stands.
func groupOf(c *trial, topic *pubsub.Durable[tick], group string) pubsub.GroupInfo {
	c.Helper()
	client := c.Client()
	defer client.Close()
	info, err := client.Streams().Info(c.ctx, topic.Name())
	c.must(err)
	at := slices.IndexFunc(info.Groups, func(g pubsub.GroupInfo) bool { return g.Group == group })
	if at < 0 {
		c.Fatalf("there is no group %s: %+v", group, info)
	}
	return info.Groups[at]
}

// What cannot be done ends among the dead, after its attempts or at once, and comes back to its group when told.
func durableDead(c *trial) {
	client := c.Client()
	topic := durableOf(c, client, "dead")
	const attempts = 3
	var calls [2]atomic.Int32
	var mended atomic.Bool
	ctx, stop := context.WithCancel(c.ctx)
	defer stop()
	done := make(chan error, 1)
	member := join(c, topic, "g", pubsub.MaxAttempts(attempts), pubsub.Backoff(soon, soon))
	go func() {
		done <- member.Handle(ctx, func(_ context.Context, m *pubsub.Message[tick]) error {
			calls[m.Data.N].Add(1)
			switch {
			case mended.Load():
				return nil
			case m.Data.N == 0:
				return errors.New("no luck")
			}
			return pubsub.Dead(errors.New("no hope"))
		})
	}()
	keep(c, topic, 0, 2)
	c.waitFor(func() bool { return groupOf(c, topic, "g").Dead == 2 }, "both to be dead")
	if a, b := calls[0].Load(), calls[1].Load(); a != attempts || b != 1 {
		c.Errorf("handled %d and %d times, want %d and 1", a, b, attempts)
	}
	reasons := map[string]string{`{"n":0}`: "no luck", `{"n":1}`: "no hope"}
	for m, err := range client.Streams().Dead(c.ctx, topic.Name(), "g") {
		c.must(err)
		if want, known := reasons[string(m.Data)]; !known || m.Error != want || m.Group != "g" || m.DiedAt.IsZero() || m.Topic != topic.Name() {
			c.Errorf("dead is %+v with data %s, want one of %v", m, m.Data, reasons)
		}
		delete(reasons, string(m.Data))
	}
	if len(reasons) != 0 {
		c.Errorf("not among the dead: %v", reasons)
	}
	mended.Store(true)
	n, err := client.Streams().Redrive(c.ctx, topic.Name(), "g")
	c.must(err)
	if n != 2 {
		c.Errorf("%d were redriven, want 2", n)
	}
	c.waitFor(func() bool { return calls[0].Load() == attempts+1 && calls[1].Load() == 2 }, "both to be handled again")
	c.waitFor(func() bool { g := groupOf(c, topic, "g"); return g.Dead == 0 && g.Pending == 0 }, "none to be left")
	stop()
	if err := <-done; err != nil {
		c.Errorf("Handle: %v", err)
	}
}

// What groups have still to do can be seen, and be done away with.
func durableInspect(c *trial) {
	client := c.Client()
	topic := durableOf(c, client, "inspect")
	member := join(c, topic, "g", pubsub.Batch(2))
	idle := join(c, topic, "idle")
	idle.Close()
	keep(c, topic, 0, 10)
	got := take(c, member, 2)
	c.must(got[0].Ack(c.ctx))
	info, err := client.Streams().Info(c.ctx, topic.Name())
	c.must(err)
	if info.Topic != topic.Name() || info.Length != 10 || info.First.IsZero() || info.Last.Before(info.First) || len(info.Groups) != 2 {
		c.Errorf("%+v", info)
	}
	c.waitFor(func() bool {
		g := groupOf(c, topic, "g")
		return g.Members == 1 && g.Lag+g.Pending == 9 && g.Pending >= 1
	}, "9 messages to be left to do")
	if g := groupOf(c, topic, "idle"); g.Members != 0 || g.Lag != 10 || g.Pending != 0 {
		c.Errorf("%+v", g)
	}
	names, err := client.Streams().List(c.ctx)
	c.must(err)
	if !slices.Contains(names, topic.Name()) {
		c.Errorf("the list of topics lacks %s: %v", topic.Name(), names)
	}
	c.must(client.Streams().DeleteGroup(c.ctx, topic.Name(), "idle"))
	info, err = client.Streams().Info(c.ctx, topic.Name())
	c.must(err)
	if len(info.Groups) != 1 {
		c.Errorf("after DeleteGroup: %+v", info.Groups)
	}
}
