//go:build unix

package main_test

import (
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/pubsub"
	"github.com/tidemill/tidemill/queue"
)

// publisher answers what publishes a number to a live topic, and to a durable one.
func publisher(t *testing.T, url string) (live, durable func(topic string, n int)) {
	t.Helper()
	c, err := pubsub.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	live = func(name string, n int) {
		topic, err := pubsub.NewTopic[int](c, name)
		if err == nil {
			_, err = topic.Publish(t.Context(), n)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	durable = func(name string, n int) {
		topic, err := pubsub.NewDurable[int](c, name)
		if err == nil {
			_, err = topic.Publish(t.Context(), n)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return live, durable
}

// Messages of the file's subscriptions become jobs, once with two workers; a reload changes the list.
func TestSubscriptions(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := open(t, srv.URL())
	live, durable := publisher(t, srv.URL())
	durable("orders", 1) // before anybody is there
	head := "redis: " + srv.URL() + "\nlisten: 127.0.0.1:0\nhandlers: {\"*\": {builtin: noop, retain: 1h}}\nsubscriptions:\n"
	orders := "- {topic: orders, durable: shipping, enqueue: {kind: ship, retain: 2h}}\n"
	path := write(t, t.TempDir(), head+orders+"- {pattern: \"price*\", enqueue: {kind: note, queue: prices}}\n")
	var both []*process
	for range 2 {
		p := start(t, nil, workerPath, "run", "-c", path)
		redistest.WaitFor(t, soon, func() bool {
			return strings.Count(p.err.String(), `"message":"messages become jobs"`) == 2 || p.ended()
		}, "the subscriptions")
		both = append(both, p)
	}
	durable("orders", 2)
	live("prices.eur", 3)
	jobs := func(name string, state queue.State, want int) (found []*queue.Snapshot) {
		t.Helper()
		redistest.WaitFor(t, soon, func() bool {
			found = nil
			for s, err := range client.List(t.Context(), name, queue.ListOptions{State: state}) {
				if err != nil {
					t.Fatal(err)
				}
				found = append(found, s)
			}
			return len(found) == want
		}, "the jobs")
		return found
	}
	for _, s := range jobs("default", queue.Succeeded, 2) {
		if s.Kind != "ship" || s.Meta["topic"] != "orders" || s.Retention.Hours() != 2 {
			t.Errorf("%+v", s)
		}
	}
	if s := jobs("prices", queue.Ready, 1)[0]; s.Kind != "note" || string(s.Payload) != "3" || s.Meta["topic"] != "prices.eur" {
		t.Errorf("%+v", s)
	}
	address := regexp.MustCompile(`"listen":"([^"]+)"`).FindStringSubmatch(both[0].err.String())
	ask := func(path string) string {
		r, err := http.Get("http://" + address[1] + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		body, _ := io.ReadAll(r.Body)
		return string(body)
	}
	ready := func() string { return ask("/readyz") }
	redistest.WaitFor(t, soon, func() bool { return strings.HasPrefix(ready(), "ready") }, "to be ready")
	if numbers := ask("/metrics"); !strings.Contains(numbers, "\ntidemill_pubsub_subscriptions 1\n") || !strings.Contains(numbers, "\ntidemill_pubsub_acked_messages_total ") {
		t.Errorf("/metrics does not tell of the subscriptions:\n%s", numbers)
	}

	// The group of a key that is no stream is away; the rest goes on.
	if err := client.Redis().Set(t.Context(), "tm:topic:{odd}:stream", "x", 0).Err(); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Dir(path), head+orders+"- {topic: odd, durable: g, enqueue: {kind: x}}\n")
	for _, p := range both {
		p.reloads(`"subscriptions orders (group shipping) to ship in default, pattern price* to note in prices -> orders (group shipping) to ship in default, odd (group g) to x in default"`)
	}
	redistest.WaitFor(t, soon, func() bool { return strings.Contains(ready(), "subscription odd (group g) to x in default: ") }, "the reason")
	live("prices.eur", 4)
	durable("orders", 5)
	jobs("default", queue.Succeeded, 3)
	jobs("prices", queue.Ready, 1)
	for _, p := range both {
		p.signal(syscall.SIGTERM)
		p.wantCode(0)
	}
}

// check tells of messages whose jobs nobody here runs.
func TestCheckSubscriptions(t *testing.T) {
	t.Parallel()
	path := write(t, t.TempDir(), "handlers: {\"mail.*\": {builtin: log}}\nqueues: {mails: }\nsubscriptions:\n- {topic: a, enqueue: {kind: mail.send, queue: mails}}\n"+
		"- {topic: b, enqueue: {kind: mial.send, queue: mial}}\n")
	p := run(t, nil, workerPath, "check", "-c", path)
	p.wantCode(0)
	text := columns(p.out.String())
	for _, want := range []string{"subscriptions a to mail.send in mails, b to mial.send in mial " + path + ":3",
		"Note: messages of b become jobs of kind mial.send, which no handler here serves", "Note: messages of b become jobs in queue mial, which is not served here"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in:\n%s", want, text)
		}
	}
	if strings.Contains(text, "messages of a") {
		t.Errorf("it finds fault with what is good:\n%s", text)
	}
}

// Of a job that a subscription makes for a queue whose jobs are told of, it is told that it was created too.
func TestCreatedByMessagesIsTold(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	_, durable := publisher(t, srv.URL())
	next := listen(t, srv.Addr(), "jobs.loud")
	path := write(t, t.TempDir(), "redis: "+srv.URL()+"\nqueues: {loud: {lifecycle: true}, still: }\nhandlers: {bill: {builtin: noop}}\n"+
		"subscriptions:\n- {topic: orders, durable: g, enqueue: {kind: bill, queue: loud}}\n")
	start(t, nil, workerPath, "run", "-c", path)
	durable("orders", 1)
	told := map[queue.EventName]string{}
	for range 3 { // by two senders, hence in no order
		e := next()
		told[e.Event] = e.Kind
	}
	for _, event := range []queue.EventName{queue.EventCreated, queue.EventStarted, queue.EventSucceeded} {
		if told[event] != "bill" {
			t.Errorf("told: %v", told)
		}
	}
}
