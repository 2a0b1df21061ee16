package main_test

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redistest"
)

const interrupt = syscall.SIGINT

// A group takes over what a member had that was killed, and no line is left out.
func TestSubscribeDurableKilled(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := openTopics(t, srv.URL())
	const total = 5000
	var input strings.Builder
	for i := range total {
		fmt.Fprintln(&input, i)
	}
	file := t.TempDir() + "/messages"
	if err := os.WriteFile(file, []byte(input.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	o := operate(t, srv.URL())
	args := []string{"subscribe", "orders", "--durable", "billing"}
	first := start(t, o.env, workerPath, args...)
	first.says(&first.err, "subscribed to topic orders in group billing\n")
	publisher := start(t, append(environment(t), o.env...), "/bin/sh", "-c", enqueuePath+" publish orders - < "+file)
	redistest.WaitFor(t, soon, func() bool { return strings.Count(first.out.String(), "\n") > 100 }, "some lines")
	first.signal(os.Kill)
	first.code()
	publisher.wantCode(0)
	second := start(t, o.env, workerPath, args...)
	second.says(&second.err, "subscribed to topic orders in group billing\n")
	seen := make(map[string]bool)
	for _, l := range first.lines() {
		seen[string(l.Data)] = true
	}
	redistest.WaitFor(t, soon, func() bool {
		g := groupInfo(t, client, "orders", "billing")
		return g.Lag == 0 && g.Pending == 0
	}, "all is acknowledged")
	second.signal(syscall.SIGTERM)
	second.wantCode(0)
	for _, l := range second.lines() {
		seen[string(l.Data)] = true
	}
	for i := range total {
		if !seen[fmt.Sprint(i)] {
			t.Fatalf("message %d has no line", i)
		}
	}
}

// What a member has when it is told to end goes to another at once, and nothing that was printed comes again.
func TestSubscribeDurableCount(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := openTopics(t, srv.URL())
	publish(t, client, "orders", `{"n": 1.0}`, "two", `3`)
	rdb := redistest.Client(t, srv)
	for _, fields := range []any{[]any{"data", "foreign"}, []any{"m", `{"foreign":true}`}} {
		if err := rdb.XAdd(t.Context(), &redis.XAddArgs{Stream: "tm:topic:{orders}:stream", Values: fields}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	o := operate(t, srv.URL())
	first := o.run("subscribe orders --durable billing --count 2 --full")
	first.wantCode(0)
	second := o.run("subscribe orders --durable billing --from now --count 3 --full")
	second.wantCode(0)
	if text := second.err.String(); text != "group billing is there already and goes on where it is: --from is for new ones\nsubscribed to topic orders in group billing\n" {
		t.Errorf("stderr %s", text)
	}
	var data []string
	for i, l := range append(first.lines(), second.lines()...) {
		data = append(data, string(l.Data))
		if l.Topic != "orders" || l.Attempt != 1 || l.Position == "" || (l.ID == "") != (i > 2) || (l.Time == "") != (i > 2) {
			t.Errorf("line %d: %+v", i, l)
		}
	}
	if text := strings.Join(data, " "); text != `{"n": 1.0} "two" 3 "foreign" {"foreign":true}` {
		t.Errorf("the data is %s", text)
	}
	if !strings.Contains(first.out.String(), `"data":{"n": 1.0},"meta":{"by":"test"},"position":"`) {
		t.Errorf("not as it was sent: %s", first.out.String())
	}
	if g := groupInfo(t, client, "orders", "billing"); g.Pending != 0 || g.Lag != 0 || g.Members != 0 {
		t.Errorf("%+v; want nothing left and nobody there", g)
	}
	o.table([][3]any{
		{"subscribe orders --durable other --from now --count 1 --no-follow", 2, "--no-follow goes with --from, without --durable"},
		{"subscribe orders --durable bad{name", 2, "bad{name"},
		{"subscribe a{b}c --durable g", 2, "a{b}c"},
	})
}

// The past is read without any group, up to its end or on.
func TestSubscribeReplay(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := openTopics(t, srv.URL())
	publish(t, client, "orders", "1", "2", "3")
	o := operate(t, srv.URL())
	all := o.run("subscribe orders --from start --no-follow --full")
	all.wantCode(0)
	if all.err.String() != "reading topic orders\n" || len(all.lines()) != 3 {
		t.Fatalf("%s%s", all.out.String(), all.err.String())
	}
	if strings.Contains(all.out.String(), "attempt") {
		t.Errorf("an attempt without a group: %s", all.out.String())
	}
	if text := o.says("subscribe orders -q --no-follow --from " + all.lines()[1].Position); !strings.Contains(text, `"data":3`) || strings.Count(text, "\n") != 1 {
		t.Errorf("behind the second: %s", text)
	}
	if text := o.says("subscribe orders -q --no-follow --from 1h"); strings.Count(text, "\n") != 3 {
		t.Errorf("of an hour: %s", text)
	}
	p := start(t, o.env, workerPath, "subscribe", "orders", "--from", all.lines()[2].Position, "--count", "1")
	p.says(&p.err, "reading topic orders\n")
	publish(t, client, "orders", "4")
	if p.wantCode(0); !strings.Contains(p.out.String(), `"data":4`) {
		t.Errorf("what came: %s", p.out.String())
	}
	o.table([][3]any{
		{"subscribe ordres --from start", 1, `there is no durable topic "ordres" (did you mean orders?); there are orders`},
		{"subscribe orders --from tomorrow", 2, `--from: "tomorrow": want start, now, a position such as 1700000000000-0, or a time`},
	})
	if info, err := client.Streams().Info(t.Context(), "orders"); err != nil || len(info.Groups) != 0 {
		t.Errorf("groups were left behind: %+v, %v", info, err)
	}
}

// What retention dropped before a group had it is told.
func TestSubscribeDurableGap(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	o := operate(t, srv.URL())
	run(t, o.env, enqueuePath, "publish", "orders", "0", "--durable", "--keep-count", "2").wantCode(0)
	o.says("subscribe orders --durable billing --count 1")
	for i := range 4 {
		run(t, o.env, enqueuePath, "publish", "orders", fmt.Sprint(i+1)).wantCode(0)
	}
	p := o.run("subscribe orders --durable billing --count 2")
	p.wantCode(0)
	lines := p.lines()
	if len(lines) != 3 || lines[0].Gap == nil || !strings.Contains(lines[0].Gap.Reason, "retention") || string(lines[1].Data)+string(lines[2].Data) != "34" {
		t.Errorf("the lines are %s", p.out.String())
	}
}
