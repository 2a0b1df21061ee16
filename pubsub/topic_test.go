package pubsub_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/pubsub"
)

func TestPublishAndSubscribe(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, c *pubsub.Client) {
		prices := topic[price](t, c, "prices.[eu]*")
		if id := publish(t, prices, price{"NOBODY", 1}); id.Version() != 7 {
			t.Errorf("id %s", id)
		}
		first, second := subscribe(t, prices), subscribe(t, prices)
		before := time.Now().Truncate(time.Microsecond)
		own := uuid.New()
		ids := []uuid.UUID{publish(t, prices, price{"AAA", 100}), publish(t, prices, price{"BBB", 200}, pubsub.MessageID(own),
			pubsub.Meta("traceparent", "00-1-2-3"), pubsub.Meta("k", "v"))}
		if ids[1] != own {
			t.Errorf("id %s, want %s", ids[1], own)
		}
		m := next(t, first)
		if m.ID != ids[0] || m.Topic != prices.Name() || m.Data != (price{"AAA", 100}) || m.Meta != nil || m.Attempt != 0 ||
			m.Time.Before(before) || m.Time.After(time.Now()) {
			t.Errorf("the first message is %+v", m)
		}
		if again := next(t, second); again != m {
			t.Error("two subscriptions do not share a message")
		}
		m = next(t, first)
		if m.ID != own || m.Data.Cents != 200 || len(m.Meta) != 2 || m.Meta["traceparent"] != "00-1-2-3" {
			t.Errorf("the second message is %+v", m)
		}
		if m.Ack(t.Context()) != nil || m.Nack(t.Context(), errors.New("x")) != nil {
			t.Error("to settle a live message is an error")
		}
		if n := c.Stats(); n.Published != 3 || n.Received != 2 || n.Delivered != 4 || n.Subscriptions != 2 || n.Connections != 1 || n.Dropped != 0 {
			t.Errorf("%+v", n)
		}
	})
}

// TestForeignMessages: whoever publishes without Tidemill is read all the same.
func TestForeignMessages(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, c *pubsub.Client) {
		s, raw := subscribe(t, topic[price](t, c, "t")), subscribe(t, topic[pubsub.Raw](t, c, "t"))
		for _, text := range []string{`{"symbol":"X","cents":3}`, "no JSON", ""} {
			if err := c.Redis().Publish(t.Context(), "t", text).Err(); err != nil {
				t.Fatal(err)
			}
			if m := next(t, raw); string(m.Data) != text || m.ID != uuid.Nil || !m.Time.IsZero() || m.Topic != "t" {
				t.Errorf("%q came as %+v", text, m)
			}
		}
		if m := next(t, s); m.Data != (price{"X", 3}) || m.ID != uuid.Nil {
			t.Errorf("%+v", m)
		}
		var bad *pubsub.DecodeError
		if err := odd(t, s); !errors.As(err, &bad) || bad.Topic != "t" || string(bad.Data) != "no JSON" || bad.Unwrap() == nil {
			t.Errorf("%v", err)
		}
		if err := odd(t, s); !errors.As(err, &bad) || len(bad.Data) != 0 {
			t.Errorf("%v", err)
		}
		if n := c.Stats().Undecodable; n != 2 {
			t.Errorf("%d undecodable", n)
		}
	})
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string][]string{
		"prices.*": {"prices.c", "prices.ax", "prices.*", "prices.by"}, "prices.[ab]?": {"prices.ax", "prices.by"}, `prices.\*`: {"prices.*"},
	} {
		everywhere(t, func(t *testing.T, c *pubsub.Client) {
			p, err := pubsub.NewPattern[price](c, pattern)
			if err != nil || p.Name() != pattern {
				t.Fatal(err)
			}
			s := subscribe(t, p)
			for i, name := range []string{"prices.c", "prices.ax", "price", "prices.*", "prices.by"} {
				publish(t, topic[price](t, c, name), price{name, i})
			}
			for _, name := range want {
				if m := next(t, s); m.Topic != name || m.Data.Symbol != name {
					t.Errorf("%s: %+v", pattern, m)
				}
			}
			if n := c.Stats().Received; n != uint64(len(want)) {
				t.Errorf("%s: %d came", pattern, n)
			}
		})
	}
}

// TestPatternsOverlap: each of them brings the message, and so does the topic. (The embedded server brings it by one.)
func TestPatternsOverlap(t *testing.T) {
	t.Parallel()
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		c := open(t, srv.URL())
		var all []*pubsub.Subscription[price]
		for _, pattern := range []string{"a*", "*b"} {
			p, err := pubsub.NewPattern[price](c, pattern)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, subscribe(t, p))
		}
		ab := topic[price](t, c, "ab")
		all = append(all, subscribe(t, ab))
		id := publish(t, ab, price{"X", 1})
		for i, s := range all {
			if m := next(t, s); m.ID != id || m.Topic != "ab" {
				t.Errorf("%d: %+v", i, m)
			}
		}
		if n := c.Stats(); n.Received != 3 || n.Connections != 1 {
			t.Errorf("%+v", n)
		}
	})
}

// shouting is a codec that cannot be compared.
type shouting struct{ _ []string }

func (shouting) Name() string { return "shouting" }
func (shouting) Marshal(v any) ([]byte, error) {
	if v.(string) == "" {
		return nil, errors.New("nothing to shout")
	}
	return []byte(strings.ToUpper(v.(string))), nil
}
func (shouting) Unmarshal(data []byte, v any) error {
	if string(data) == "PANIC" {
		panic("as told")
	}
	*v.(*string) = string(data) + "!"
	return nil
}

func TestCodecs(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, b *redistest.Bubble, c *pubsub.Client) {
		loud := around(t, b.Client(), pubsub.Config{Codec: shouting{}})
		to := topic[string](t, loud, "t")
		s, plain := subscribe(t, to), subscribe(t, topic[pubsub.Raw](t, c, "t", pubsub.WithCodec(shouting{})))
		twin := subscribe(t, topic[string](t, c, "t", pubsub.WithCodec(shouting{})))
		publish(t, to, "hey")
		if m := next(t, s); m.Data != "HEY!" {
			t.Errorf("%q", m.Data)
		}
		if m := next(t, twin); m.Data != "HEY!" {
			t.Errorf("%q", m.Data)
		}
		if m := next(t, plain); string(m.Data) != "HEY" {
			t.Errorf("raw: %q", m.Data)
		}
		publish(t, to, "panic")
		if err := odd(t, s); !errors.As(err, new(*pubsub.DecodeError)) || !strings.Contains(err.Error(), "as told") {
			t.Errorf("%v", err)
		}
		if _, err := to.Publish(t.Context(), ""); !errors.Is(err, pubsub.ErrInvalid) || !strings.Contains(err.Error(), "nothing to shout") {
			t.Errorf("%v", err)
		}
	})
}

func TestWhatIsInvalid(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, b *redistest.Bubble, c *pubsub.Client) {
		ctx := t.Context()
		small := topic[any](t, around(t, b.Client(), pubsub.Config{MaxMessage: 10}), "t")
		make := func(name string, o ...pubsub.TopicOption) error {
			_, err := pubsub.NewTopic[int](c, name, o...)
			return err
		}
		send := func(o ...pubsub.PublishOption) error { _, err := small.Publish(ctx, 1, o...); return err }
		sub := func(o ...pubsub.SubscribeOption) error { _, err := small.Subscribe(ctx, o...); return err }
		s := subscribe(t, small)
		handle := func(h pubsub.Handler[any], o ...pubsub.HandleOption) error { return s.Handle(ctx, h, o...) }
		nothing := func(context.Context, *pubsub.Message[any]) error { return nil }
		_, large := small.Publish(ctx, "0123456789")
		_, func_ := small.Publish(ctx, func() {})
		_, twice := small.PublishMany(ctx, []any{1, 2}, pubsub.MessageID(uuid.New()))
		_, pattern := pubsub.NewPattern[int](c, "a\nb")
		_, config := pubsub.New(b.Client(), pubsub.Config{MaxMessage: -1})
		_, configs := pubsub.New(b.Client(), pubsub.Config{}, pubsub.Config{})
		_, space := pubsub.New(b.Client(), pubsub.Config{Namespace: "{"})
		_, url := pubsub.Open(ctx, "http://x")
		for name, c := range map[string]struct {
			err  error
			says string
		}{
			"no name": {make(""), "topic"}, "a long name": {make(strings.Repeat("x", 256)), "256 bytes"},
			"a control character": {make("a\x00"), `"a\x00"`}, "no UTF-8": {make("\xff"), `"\xff"`}, "a pattern": {pattern, "pattern"},
			"no codec": {make("t", pubsub.WithCodec(nil)), "codec"}, "no option": {make("t", nil), "option"},
			"the nil id": {send(pubsub.MessageID(uuid.Nil)), "message id"}, "one id for two": {twice, "2 messages"},
			"metadata without name": {send(pubsub.Meta("", "v")), "metadata"}, "metadata of bytes": {send(pubsub.Meta("k", "\xff")), "metadata"},
			"much metadata": {send(pubsub.Meta("k", strings.Repeat("v", 8192))), "8193 bytes"},
			"much data":     {large, "12 bytes"}, "what is no JSON": {func_, "topic"},
			"no buffer": {sub(pubsub.Buffer(0)), "buffer"}, "a huge buffer": {sub(pubsub.Buffer(1 << 25)), "buffer"},
			"Block(0)": {sub(pubsub.WhenFull(pubsub.Block(0))), "Block(0s)"}, "Block(-1)": {sub(pubsub.WhenFull(pubsub.Block(-1))), "policy"},
			"no concurrency": {handle(nothing, pubsub.Concurrency(0)), "concurrency"}, "no handler": {handle(nil), "handler"},
			"no OnGap": {handle(nothing, pubsub.OnGap(nil)), "OnGap"}, "MaxMessage": {config, "MaxMessage"}, "two configs": {configs, "config"},
			"namespace": {space, "namespace"}, "URL": {url, "http"},
		} {
			if !errors.Is(c.err, pubsub.ErrInvalid) || !strings.Contains(c.err.Error(), c.says) {
				t.Errorf("%s: %v", name, c.err)
			}
		}
		if make(strings.Repeat("x", 255)) != nil || make("ä b*[?\\") != nil || send(pubsub.Meta("k", strings.Repeat("v", 8191))) != nil {
			t.Error("what is allowed is refused")
		}
	})
}
