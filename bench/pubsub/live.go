package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/bench/internal/rig"
	"github.com/tidemill/tidemill/pubsub"
)

// liveWindow is how far the publisher may be ahead of the one subscriber: enough to keep all busy, and with about 2 MB far
// from the 32 MB at which Redis cuts off a subscriber that does not read.
const liveWindow = 8_000

// liveReport is after how many messages the subscriber says how far it is.
const liveReport = 500

// listenSpec is the order to a live subscriber. The Python one gets the same.
type listenSpec struct {
	System string     `json:"system"`
	Broker rig.Broker `json:"broker"`
	Topic  string     `json:"topic"`
	N      int        `json:"n"`
	Window int        `json:"window"`
	Report int        `json:"report"`
}

// live measures one subscriber beside the publisher.
func (c config) live(python string) func(context.Context, string, rig.Broker) ([]rig.Metric, error) {
	return func(ctx context.Context, column string, b rig.Broker) ([]rig.Metric, error) {
		spec := listenSpec{System: column, Broker: b, Topic: topic, N: c.Live, Window: liveWindow, Report: liveReport}
		subscriber := func(ctx context.Context) (*exec.Cmd, error) {
			if column == "python" {
				return pythonCommand(ctx, python, spec)
			}
			return rig.Command(ctx, "listen", spec)
		}
		_, ours := listeners[column]
		ours = ours && column != "go-redis"
		return beside(ctx, subscriber, publishSpec{Broker: b, N: c.Live, Window: liveWindow, Envelope: ours})
	}
}

// listeners subscribe, say ready, and hand over the numbers of messages in the order in which they come, until told that it
// was the last.
var listeners = map[string]func(ctx context.Context, spec listenSpec, r *reception) error{
	"go-redis":         listenGoRedis,
	"tidemill":         listenTidemill,
	"tidemill-stdjson": listenStdJSON,
	"tidemill-raw":     listenRaw,
}

// listenStep is one subscriber. The rate is taken from the first message to the last.
func listenStep(ctx context.Context, spec listenSpec) ([]rig.Metric, error) {
	listen, ok := listeners[spec.System]
	if !ok {
		return nil, fmt.Errorf("no system %q", spec.System)
	}
	r := &reception{spec: spec, progress: openProgress()}
	if err := listen(ctx, spec, r); err != nil {
		return nil, err
	}
	if r.fault != nil || r.n != spec.N {
		return nil, errors.Join(r.fault, fmt.Errorf("%d of %d messages came", r.n, spec.N))
	}
	end, err := rig.MarkUsage(ctx, spec.Broker)
	if err != nil {
		return nil, err
	}
	return append([]rig.Metric{
		{Name: "rate", Unit: "messages/s", Better: rig.Higher, Value: float64(spec.N) / r.took.Seconds()},
	}, end.Per("message", spec.N, r.start, "")...), nil
}

// reception is what a subscriber has got.
type reception struct {
	spec     listenSpec
	progress progress
	start    rig.Usage
	n        int
	first    time.Time
	took     time.Duration
	fault    error
}

// ready is called once Redis has confirmed the subscription.
func (r *reception) ready(ctx context.Context) (err error) {
	if r.start, err = rig.MarkUsage(ctx, r.spec.Broker); err != nil {
		return err
	}
	return r.progress.at(0)
}

// got notes message number id; false: no more.
func (r *reception) got(id int64) bool {
	if r.n == 0 {
		r.first = time.Now()
	}
	if id != int64(r.n) {
		r.fault = fmt.Errorf("message %d came in place of %d", id, r.n)
		return false
	}
	r.n++
	if r.n%r.spec.Report == 0 {
		r.fault = r.progress.at(r.n)
	}
	if r.n == r.spec.N {
		r.took = time.Since(r.first)
	}
	return r.fault == nil && r.n < r.spec.N
}

// listenGoRedis uses the channel as its manual shows, with room for what may be on its way.
func listenGoRedis(ctx context.Context, spec listenSpec, r *reception) error {
	rdb := redis.NewClient(&redis.Options{Addr: spec.Broker.Addr})
	defer rdb.Close()
	sub := rdb.Subscribe(ctx, spec.Topic)
	defer sub.Close()
	if _, err := sub.Receive(ctx); err != nil {
		return err
	}
	if err := r.ready(ctx); err != nil {
		return err
	}
	for m := range sub.Channel(redis.WithChannelSize(spec.Window)) {
		var p rig.Payload
		if err := json.Unmarshal([]byte(m.Payload), &p); err != nil {
			return err
		}
		if !r.got(p.UserID) {
			return nil
		}
	}
	return errors.New("the channel was closed")
}

func listenTidemill(ctx context.Context, spec listenSpec, r *reception) error {
	return listenDecoded(ctx, spec, r, pubsub.JSON)
}

// listenStdJSON reads the same JSON with encoding/json, as the others do.
func listenStdJSON(ctx context.Context, spec listenSpec, r *reception) error {
	return listenDecoded(ctx, spec, r, stdJSON{})
}

// stdJSON is a codec that is encoding/json and no more.
type stdJSON struct{}

func (stdJSON) Name() string                       { return "json" }
func (stdJSON) Marshal(v any) ([]byte, error)      { return json.Marshal(v) }
func (stdJSON) Unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }

func listenDecoded(ctx context.Context, spec listenSpec, r *reception, codec pubsub.Codec) error {
	return listenTopic(ctx, spec, r, codec, func(m *pubsub.Message[rig.Payload]) int64 { return m.Data.UserID })
}

// listenRaw decodes nothing but the envelope, and so counts.
func listenRaw(ctx context.Context, spec listenSpec, r *reception) error {
	return listenTopic(ctx, spec, r, pubsub.JSON, func(*pubsub.Message[pubsub.Raw]) int64 { return int64(r.n) })
}

// listenTopic has a buffer for what may be on its way, and the policy that drops what finds it full.
func listenTopic[T any](ctx context.Context, spec listenSpec, r *reception, codec pubsub.Codec,
	id func(*pubsub.Message[T]) int64) error {
	client, err := pubsub.Open(ctx, "redis://"+spec.Broker.Addr, pubsub.Config{Codec: codec})
	if err != nil {
		return err
	}
	defer client.Close()
	t, err := pubsub.NewTopic[T](client, spec.Topic)
	if err != nil {
		return err
	}
	sub, err := t.Subscribe(ctx, pubsub.Buffer(spec.Window))
	if err != nil {
		return err
	}
	if err := r.ready(ctx); err != nil {
		return err
	}
	for m, err := range sub.All(ctx) {
		if err != nil {
			return err
		}
		if !r.got(id(m)) {
			return nil
		}
	}
	return errors.New("the subscription ended")
}
