package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/internal/redistest"
)

// A user of Redis who may not use the channel is told so.
func TestPublishNotPermitted(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	rdb := redistest.Client(t, srv)
	if err := rdb.Do(t.Context(), "ACL", "SETUSER", "prices", "on", ">secret", "resetkeys", "resetchannels", "&prices.*", "-@all", "+@pubsub", "+@connection").Err(); err != nil {
		t.Fatal(err)
	}
	url := "redis://prices:secret@" + srv.Addr()
	run := func(stdin string, args ...string) result {
		return call{url: url, args: append([]string{"publish"}, args...), stdin: strings.NewReader(stdin)}.run(t)
	}
	run("", "prices.gold", "1", "--live", "-q").want(t, 0, "")
	const noPermission = "redis user lacks a permission: NOPERM this user has no permissions to access one of the channels used as arguments"
	run("", "orders", "1", "--live").want(t, 1, "enqueue: "+noPermission+"\n")
	run("1\n2\n", "orders", "-", "--live").want(t, 1, "published 0, rejected 0\nenqueue: "+noPermission+"; the next line is 1\n")
	// With keys and without the channel nothing is kept that is not sent.
	if err := rdb.Do(t.Context(), "ACL", "SETUSER", "prices", "~tm:*", "&tm:*", "+@read", "+@write", "+eval", "+evalsha", "+time").Err(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if r := run("", "orders", "1", "--durable"); r.code != 1 || !strings.Contains(r.stderr, "redis user lacks a permission") {
			t.Errorf("a durable topic: exit code %d, %s", r.code, r.stderr)
		}
	}
	if n := rdb.Exists(t.Context(), "tm:topic:{orders}:stream").Val(); n != 0 {
		t.Error("it was kept all the same")
	}
	run("1\n2\n", "prices.gold", "-", "--durable").want(t, 0, "published 2, rejected 0\n")
	if err := rdb.Do(t.Context(), "ACL", "SETUSER", "prices", "resetchannels", "&tm:*").Err(); err != nil {
		t.Fatal(err)
	}
	run("3\n4\n", "prices.gold", "-", "--durable")
	if n := rdb.XLen(t.Context(), "tm:topic:{prices.gold}:stream").Val(); n != 2 {
		t.Errorf("%d messages are kept, want the 2 that were sent", n)
	}
	if err := rdb.Do(t.Context(), "ACL", "SETUSER", "prices", "resetkeys", "&prices.*", "-@all", "+@pubsub", "+@connection").Err(); err != nil {
		t.Fatal(err)
	}
	for stdin, message := range map[string]string{"": "1", "1\n": "-"} {
		r := run(stdin, "prices.gold", message)
		if r.code != 1 || !strings.Contains(r.stderr, "NOPERM") || !strings.Contains(r.stderr, "; a user who may use no keys can publish with --live") {
			t.Errorf("without keys: exit code %d, %s", r.code, r.stderr)
		}
	}
}

// Redis that goes away in the middle is told with the line to go on at.
func TestPublishLost(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	next := heard(t, redistest.Client(t, srv), "t", false)
	r := call{url: srv.URL(), args: []string{"publish", "t", "-"}}.start(t)
	r.write("1\n\n2\n")
	next()
	next()
	// One more round trip: Redis writes its replies before it looks at further commands, so the program has its answer.
	if err := openQueue(t, srv.URL()).Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	srv.Kill()
	r.write("3\n4\n")
	got := r.wait()
	want := regexp.MustCompile(`^published 2, rejected 0\nenqueue: Redis is lost: .*; (the next line is 4|lines 4 to [45] may be published or not)\n$`)
	if got.code != 3 || !want.MatchString(got.stderr) {
		t.Errorf("exit code %d, %s", got.code, got.stderr)
	}
}

func TestPublishFull(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t, redistest.WithMaxMemory("100mb"))
	call{url: srv.URL(), args: []string{"publish", "t", "1", "--durable", "-q"}}.run(t).want(t, 0, "")
	empty := redistest.FillMemory(t, srv)
	defer empty()
	r := call{url: srv.URL(), args: []string{"publish", "t", "2"}}.run(t)
	if r.code != 1 || !strings.HasPrefix(r.stderr, "enqueue: redis full: the message was not published") {
		t.Errorf("exit code %d, %s", r.code, r.stderr)
	}
	r = call{url: srv.URL(), args: []string{"publish", "t", "-"}, stdin: strings.NewReader("2\n3\n")}.run(t)
	if r.code != 1 || r.stderr != "published 0, rejected 0\nenqueue: redis full; the next line is 1\n" {
		t.Errorf("exit code %d, %s", r.code, r.stderr)
	}
}
