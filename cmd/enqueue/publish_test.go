package main

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/internal/wire"
	"github.com/tidemill/tidemill/pubsub"
)

// heard subscribes by a plain client and answers the messages as they come.
func heard(t *testing.T, rdb redis.UniversalClient, topic string, sharded bool) func() wire.Message {
	t.Helper()
	subscribe := rdb.Subscribe
	if sharded {
		subscribe = rdb.SSubscribe
	}
	sub := subscribe(t.Context(), topic)
	t.Cleanup(func() { _ = sub.Close() })
	if _, err := sub.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	messages := sub.Channel(redis.WithChannelSize(100_000))
	return func() wire.Message {
		t.Helper()
		select {
		case m := <-messages:
			return wire.DecodeMessage([]byte(m.Payload))
		case <-time.After(time.Minute):
			t.Fatal("no message came")
			return wire.Message{}
		}
	}
}

func openTopics(t *testing.T, url string) *pubsub.Client {
	t.Helper()
	client, err := pubsub.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func TestPublishOne(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	next := heard(t, redistest.Client(t, srv), "prices.gold", false)
	nextSharded := heard(t, redistest.Client(t, srv), "prices.gold", true)
	publish := func(code int, args ...string) string {
		t.Helper()
		r := call{url: srv.URL(), args: append([]string{"publish", "prices.gold"}, args...)}.run(t)
		if r.want(t, code, ""); code != 0 {
			t.FailNow()
		}
		return r.stdout
	}
	const sent = " {\"bid\": 2410.50,\n \"a\":\"<ü>\"} "
	id := strings.TrimSpace(publish(0, sent, "--meta", "a=1", "--meta", "b=x=y"))
	m := next()
	if m.ID.String() != id || string(m.Data) != sent || len(m.Meta) != 2 || m.Meta["a"] != "1" || m.Meta["b"] != "x=y" {
		t.Errorf("%s sent, came %+v", id, m)
	}
	if age := time.Since(time.UnixMicro(m.Time)); age < 0 || age > time.Minute {
		t.Errorf("sent %v ago", age)
	}
	const own = "0197c1f0-5a3e-7cc3-98c4-dc0c0c07398f"
	if out := publish(0, "1", "--id", own, "--json", "--live"); out != `{"topic":"prices.gold","id":"`+own+`"}`+"\n" {
		t.Errorf("--json: %s", out)
	}
	if m := next(); m.ID.String() != own {
		t.Errorf("its own id: %v", m.ID)
	}
	id = strings.TrimSpace(publish(0, `"sharded"`, "--sharded"))
	if m := nextSharded(); m.ID.String() != id {
		t.Errorf("sharded: %v", m.ID)
	}
	call{url: srv.URL(), args: []string{"publish", "bad\ntopic", "1"}}.run(t).want(t, 2,
		"enqueue: invalid topic: \"bad\\ntopic\"; allowed: 1 to 255 bytes of UTF-8 text without control characters\n"+seePublish)
	call{url: srv.URL(), args: []string{"publish", "t", `"` + strings.Repeat("x", 100) + `"`, "--max-message", "100"}}.run(t).want(t, 2,
		"enqueue: invalid data: 102 bytes for topic \"t\"; allowed: up to 100 bytes (Config.MaxMessage)\n"+seePublish)
}

// A kind may be called as the verb is.
func TestKindPublish(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := openQueue(t, srv.URL())
	call{url: srv.URL(), args: []string{"-q", "--", "publish", `{"page":17}`}}.run(t).want(t, 0, "")
	call{url: srv.URL(), args: []string{"--queue", "default", "--", "publish"}}.run(t).want(t, 0, "")
	call{url: srv.URL(), args: []string{"--file", "-"}, stdin: strings.NewReader(`{"kind":"publish"}`)}.run(t).want(t, 0, "enqueued 1, duplicates 0, rejected 0\n")
	for _, kind := range []string{"help", "completion"} {
		call{url: srv.URL(), args: []string{"--", kind, "{}"}}.run(t).want(t, 0, "")
	}
	call{url: srv.URL(), args: []string{"help", "{}"}}.run(t).want(t, 2,
		"enqueue: no command \"{}\"; for a job of the kind help: enqueue -- help '{...}'\nsee 'enqueue help --help'\n")
	if n := ready(t, client, "default"); n != 5 {
		t.Errorf("%d jobs ready", n)
	}
	r := call{args: []string{"help", "publish"}}.run(t)
	if r.code != 0 || !strings.Contains(r.stdout, "enqueue publish TOPIC JSON|-") || strings.Contains(r.stdout, "--max-attempts") {
		t.Errorf("help publish: %s%s", r.stdout, r.stderr)
	}
	if r := (call{args: []string{"--help"}}).run(t); strings.Contains(r.stdout, "\n  enqueue [command]\n") {
		t.Errorf("--help shows what nobody can type: %q", r.stdout)
	}
}

func TestPublishStream(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	next := heard(t, redistest.Client(t, srv), "t", false)
	file := tempFile(t, "rejects", "of an earlier run\n")
	input := "\xef\xbb\xbf1\r\n\n  {\"a\": 2} \nnope\n" + strings.Repeat("3", 30) + "\n\"\xff\"\n4"
	r := call{url: srv.URL(), args: []string{"publish", "t", "-", "--rejects", file, "--max-message", "29", "--json"}, stdin: strings.NewReader(input)}.run(t)
	r.want(t, 1, "published 3, rejected 3\n")
	out := json.NewDecoder(strings.NewReader(r.stdout))
	for _, want := range []struct {
		line int
		data string
	}{{1, "1"}, {3, `{"a": 2}`}, {7, "4"}} {
		var got struct {
			Line int
			ID   string
		}
		err := out.Decode(&got)
		if m := next(); err != nil || got.Line != want.line || m.ID.String() != got.ID || string(m.Data) != want.data {
			t.Errorf("line %d: printed %+v, %v, heard %v %s", want.line, got, err, m.ID, m.Data)
		}
	}
	rejects := readRejects(t, file)
	for i, want := range []string{"column 2: invalid character 'o' in literal null (expecting 'u')", "30 bytes; allowed: up to 29 (--max-message)", "column 2: byte 0xff is not UTF-8"} {
		if i >= len(rejects) || rejects[i].Line != 4+i || rejects[i].Reason != want {
			t.Errorf("reject %d: %+v, want line %d, %s", i, rejects, 4+i, want)
		}
	}
	call{url: srv.URL(), args: []string{"publish", "t", "-"}, stdin: strings.NewReader(strings.Repeat("x\n", 12))}.run(t).want(t, 1,
		reasons(10, "column 1: invalid character 'x' looking for beginning of value")+"... and 2 more\npublished 0, rejected 12\n")
	call{url: srv.URL(), args: []string{"publish", "t", "-"}, stdin: strings.NewReader("\n\n")}.run(t).want(t, 0, "published 0, rejected 0\n")
	call{url: srv.URL(), args: []string{"publish", "t", "-", "-q"}, stdin: strings.NewReader("1")}.run(t).want(t, 0, "")
}

// reasons are those of the first n lines.
func reasons(n int, text string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "line %d: %s\n", i+1, text)
	}
	return b.String()
}

// A producer that writes a line now and then is heard while the stream goes on; Ctrl-C names the line to go on at.
func TestPublishSlowStream(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	next := heard(t, redistest.Client(t, srv), "t", false)
	r := call{url: srv.URL(), args: []string{"publish", "t", "-"}}.start(t)
	for i := range 3 {
		r.write(fmt.Sprintf("%d\n", i) + `{"a":`) // the rest of the line comes later
		if m := next(); string(m.Data) != fmt.Sprint(i) {
			t.Errorf("heard %s", m.Data)
		}
		r.write(`1}` + "\n")
		next()
	}
	r.signal(os.Interrupt)
	got := r.wait()
	// Redis has them a moment before the program knows.
	if got.code != 130 || !regexp.MustCompile(`^published [56], rejected 0\nenqueue: interrupted(; the next line is 7| with lines 6 to 6 under way, which may be published or not)\n$`).MatchString(got.stderr) {
		t.Errorf("exit code %d, %s", got.code, got.stderr)
	}
}

// Messages come in order, and many of them in bounded memory.
func TestPublishMany(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	const total = 20_000
	next := heard(t, redistest.Client(t, srv), "t", false)
	var input strings.Builder
	for i := range total {
		fmt.Fprintln(&input, i)
	}
	call{url: srv.URL(), args: []string{"publish", "t", "-"}, stdin: strings.NewReader(input.String())}.run(t).want(t, 0, fmt.Sprintf("published %d, rejected 0\n", total))
	for i := range total {
		if m := next(); string(m.Data) != fmt.Sprint(i) {
			t.Fatalf("message %d is %s", i, m.Data)
		}
	}
}

func TestPublishDurable(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := openTopics(t, srv.URL())
	next := heard(t, redistest.Client(t, srv), "orders", false)
	info := func() *pubsub.StreamInfo {
		t.Helper()
		i, err := client.Streams().Info(t.Context(), "orders")
		if err != nil {
			t.Fatal(err)
		}
		return i
	}
	publish := func(stdin string, args ...string) {
		t.Helper()
		r := call{url: srv.URL(), args: append([]string{"publish", "orders"}, args...), stdin: strings.NewReader(stdin)}.run(t)
		r.want(t, 0, "")
	}
	publish("", "0")
	next()
	if names, err := client.Streams().List(t.Context()); err != nil || len(names) > 0 {
		t.Errorf("a live topic is kept: %q, %v", names, err)
	}
	publish("", "1", "--durable")
	if i := info(); i.Length != 1 || i.KeepCount != 0 || i.KeepFor != 0 {
		t.Errorf("%+v", i)
	}
	publish("2\n3\n", "-", "-q")
	publish("", "4", "--live")
	if i := info(); i.Length != 3 {
		t.Errorf("%d messages, want 3: a publish reaches the stream, and one to the live alone does not", i.Length)
	}
	publish("", "5", "--durable", "--keep-count", "2", "--keep-for", "1h")
	publish("", "6", "--durable")
	publish("", "7", "--durable", "--sharded")
	if i := info(); i.Length != 2 || i.KeepCount != 2 || i.KeepFor != time.Hour {
		t.Errorf("retention is not as it was set: %+v", i)
	}
	publish("", "8", "--durable", "--keep-count", "3")
	if i := info(); i.Length != 3 || i.KeepCount != 3 || i.KeepFor != 0 {
		t.Errorf("retention is not as it was set last: %+v", i)
	}
	for _, want := range []string{"1", "2", "3", "4", "5", "6", "8"} {
		if m := next(); string(m.Data) != want {
			t.Errorf("heard %s, want %s", m.Data, want)
		}
	}
	call{url: srv.URL(), args: []string{"publish", "or ders", "1", "--durable"}}.run(t).want(t, 2,
		"enqueue: invalid topic: \"or ders\" is no name of a durable topic; allowed are 1 to 255 bytes of printable UTF-8 text without spaces, { and }\n"+seePublish)
}
