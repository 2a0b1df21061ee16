package metrics_test

import (
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/pubsub"
	"github.com/tidemill/tidemill/pubsub/metrics"
	"github.com/tidemill/tidemill/pubsub/pubsubtest"
)

// scrape answers every value by its name.
func scrape(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]float64)
	for _, f := range families {
		m := f.Metric[0]
		values[strings.TrimPrefix(f.GetName(), "tidemill_pubsub_")] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
	}
	return values
}

// Each number is told under its own name.
func TestCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		memory := pubsubtest.NewMemory(t)
		client := memory.Client()
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(metrics.New(client))
		live(t, memory, client)
		kept(t, client)
		synctest.Wait()
		got := scrape(t, registry)
		for name, want := range map[string]float64{"published_messages_total": 12, "dropped_messages_total": 9, "undecodable_messages_total": 1,
			"gaps_total": 1, "subscriptions": 2, "connections": 1, "acked_messages_total": 1, "nacked_messages_total": 1,
			"redelivered_messages_total": 1, "dead_messages_total": 1} {
			if got[name] != want {
				t.Errorf("%s is %v, want %v", name, got[name], want)
			}
		}
		if got["received_messages_total"] < 11 || got["delivered_messages_total"] < 11 {
			t.Errorf("received %v, delivered %v", got["received_messages_total"], got["delivered_messages_total"])
		}
	})
}

// live breaks the connection, and has 10 messages and one that is no number for two buffers, one of which takes 2.
func live(t *testing.T, memory *pubsubtest.Memory, client *pubsub.Client) {
	t.Helper()
	topic, err := pubsub.NewTopic[int](client, "numbers")
	must(t, err)
	wide, err := topic.Subscribe(t.Context())
	must(t, err)
	narrow, err := topic.Subscribe(t.Context(), pubsub.Buffer(2))
	must(t, err)
	memory.Cut()
	redistest.WaitFor(t, time.Minute, func() bool { return client.Ping(t.Context()) == nil }, "connections that are whole")
	for _, s := range []*pubsub.Subscription[int]{wide, narrow} {
		_, err := s.Next(t.Context())
		if gap := (*pubsub.Gap)(nil); !errors.As(err, &gap) {
			t.Fatalf("%v, want a gap", err)
		}
	}
	_, err = topic.PublishMany(t.Context(), make([]int, 10))
	must(t, err)
	for range 10 {
		_, err := wide.Next(t.Context())
		must(t, err)
	}
	must(t, memory.Redis().Publish(t.Context(), "numbers", "one").Err())
	_, err = wide.Next(t.Context())
	if odd := (*pubsub.DecodeError)(nil); !errors.As(err, &odd) {
		t.Fatalf("%v, want a decode error", err)
	}
}

// kept acknowledges one message, gives back another, and then gives it up.
func kept(t *testing.T, client *pubsub.Client) {
	t.Helper()
	topic, err := pubsub.NewDurable[int](client, "orders")
	must(t, err)
	member, err := topic.Subscribe(t.Context(), "g", pubsub.MaxAttempts(2), pubsub.Backoff(time.Second, time.Second))
	must(t, err)
	t.Cleanup(member.Close)
	_, err = topic.PublishMany(t.Context(), []int{0, 1})
	must(t, err)
	good, err := member.Next(t.Context())
	must(t, err)
	must(t, good.Ack(t.Context()))
	for range 2 {
		bad, err := member.Next(t.Context())
		must(t, err)
		must(t, bad.Nack(t.Context(), errors.New("no")))
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestLint(t *testing.T) {
	t.Parallel()
	problems, err := testutil.CollectAndLint(metrics.New(pubsubtest.Client(t)))
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

// The guide has a line for each metric, word for word, and names none that there is not.
func TestGuideListsTheMetrics(t *testing.T) {
	text, err := os.ReadFile("../../docs/monitoring.md")
	must(t, err)
	known := map[string]bool{}
	for _, m := range metrics.Metrics() {
		line := "\n| `" + m.Name + "` | " + m.Type + " | | " + m.Help + " |\n"
		if !strings.Contains(string(text), line) {
			t.Errorf("docs/monitoring.md lacks the line%s", line)
		}
		known[m.Name] = true
	}
	for _, name := range regexp.MustCompile(`\btidemill_pubsub_[a-z_]+`).FindAllString(string(text), -1) {
		if !known[name] {
			t.Errorf("docs/monitoring.md tells of %s, which is no metric", name)
		}
	}
}
