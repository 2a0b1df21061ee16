package main_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/pubsub"
)

// Messages of our own, of a foreign client and of a pattern, each as it was sent, until Ctrl-C.
func TestSubscribe(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	rdb := redistest.Client(t, srv)
	env := []string{"REDIS_URL=" + srv.URL()}
	one := start(t, env, workerPath, "subscribe", "prices.gold")
	all := start(t, env, workerPath, "subscribe", "prices.*", "--pattern")
	literal := start(t, env, workerPath, "subscribe", "prices.*", "-q", "--count", "1")
	one.says(&one.err, "subscribed to topic prices.gold\n")
	all.says(&all.err, "subscribed to the topics prices.*\n")
	redistest.WaitFor(t, soon, func() bool { return len(rdb.PubSubChannels(t.Context(), "prices.[*]").Val()) == 1 }, "the topic whose name has a star")

	p := run(t, env, enqueuePath, "publish", "prices.gold", `{"bid": 2410.50, "s":"<ü>"}`, "--meta", "by=test")
	p.wantCode(0)
	id := strings.TrimSpace(p.out.String())
	for _, m := range [][2]string{{"prices.gold", "{\n  \"bid\": 1\n}\n"}, {"prices.silver", "up & away\r\n"}, {"prices.*", "\xff"}} {
		if err := rdb.Publish(t.Context(), m[0], m[1]).Err(); err != nil {
			t.Fatal(err)
		}
	}
	all.says(&all.out, `"data_base64"`)
	one.says(&one.out, `"id":"",`)
	head := regexp.MustCompile(`^\{"topic":"prices.gold","id":"` + id + `","time":"20[0-9T:-]{17}\.[0-9]{6}Z",`)
	ours := head.FindString(one.out.String())
	if ours == "" {
		t.Fatalf("the first line is no message of ours: %s", one.out.String())
	}
	gold := ours + `"data":{"bid": 2410.50, "s":"<ü>"}}` + "\n" + `{"topic":"prices.gold","id":"","time":"","data":{   "bid": 1 } }` + "\n"
	if one.out.String() != gold {
		t.Errorf("one topic:\n%swant\n%s", one.out.String(), gold)
	}
	if want := gold + `{"topic":"prices.silver","id":"","time":"","data":"up & away\r\n"}` + "\n" + `{"topic":"prices.*","id":"","time":"","data_base64":"/w=="}` + "\n"; all.out.String() != want {
		t.Errorf("the pattern:\n%swant\n%s", all.out.String(), want)
	}
	literal.wantCode(0)
	if text := literal.out.String() + literal.err.String(); text != `{"topic":"prices.*","id":"","time":"","data_base64":"/w=="}`+"\n" {
		t.Errorf("a name with a star: %s", text)
	}
	one.signal(os.Interrupt)
	all.signal(syscall.SIGTERM)
	one.wantCode(0)
	all.wantCode(0)
}

// What may be missing is a line, and what comes after it is there.
func TestSubscribeGap(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	rdb := redistest.Client(t, srv)
	p := start(t, []string{"REDIS_URL=" + srv.URL()}, workerPath, "subscribe", "t")
	p.says(&p.err, "subscribed to topic t\n")
	heard := func(text string) {
		t.Helper()
		redistest.WaitFor(t, soon, func() bool { return rdb.PubSubNumSub(t.Context(), "t").Val()["t"] == 1 }, "the subscription")
		if err := rdb.Publish(t.Context(), "t", text).Err(); err != nil {
			t.Fatal(err)
		}
		p.says(&p.out, `"data":"`+text+`"`)
	}
	heard("a")
	before := time.Now()
	if n, err := rdb.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Result(); err != nil || n != 1 {
		t.Fatalf("%d connections killed, %v", n, err)
	}
	p.says(&p.out, `{"gap":`)
	heard("b")
	srv.Kill()
	p.staysFor(moment)
	if err := srv.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	redistest.WaitFor(t, soon, func() bool { return strings.Count(p.out.String(), `{"gap":`) == 2 }, "the second gap")
	heard("c")
	p.signal(os.Interrupt)
	p.wantCode(0)
	lines := p.lines()
	if len(lines) != 5 || lines[1].Gap == nil || lines[3].Gap == nil {
		t.Fatalf("the lines are %s", p.out.String())
	}
	for _, l := range []line{lines[1], lines[3]} {
		from, errFrom := time.Parse(time.RFC3339Nano, l.Gap.From)
		to, errTo := time.Parse(time.RFC3339Nano, l.Gap.To)
		if errFrom != nil || errTo != nil || !from.Before(to) || to.Before(before) || to.After(time.Now()) || l.Gap.Reason == "" || len(l.Gap.To) != len("2027-01-31T08:00:00.123456Z") {
			t.Errorf("gap %+v", *l.Gap)
		}
	}
}

// Whoever reads slowly loses messages, counted in gaps, and nothing else.
func TestSubscribeSlowReader(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := openTopics(t, srv.URL())
	topic, err := pubsub.NewTopic[string](client, "t")
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command(workerPath, "subscribe", "t", "--buffer", "50", "--redis", srv.URL())
	var stderr output
	cmd.Env, cmd.Stdout, cmd.Stderr = environment(t), w, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	redistest.WaitFor(t, soon, func() bool { return strings.Contains(stderr.String(), "subscribed to topic t\n") }, "the subscription")
	const total = 3000 // of which a pipe holds some 200
	data := make([]string, total)
	for i := range data {
		data[i] = strings.Repeat("x", 200)
	}
	if _, err := topic.PublishMany(t.Context(), data); err != nil {
		t.Fatal(err)
	}
	// Behind all that, so that it is known when the reader has seen the last of them.
	if _, err := topic.Publish(t.Context(), "last"); err != nil {
		t.Fatal(err)
	}
	lines, dropped := 0, 0
	in := bufio.NewScanner(r)
	missed := regexp.MustCompile(`^\{"gap":\{"from":"[^"]+","to":"[^"]+","reason":"slow consumer: ([0-9,]+) messages? dropped"\}\}$`)
	for lines+dropped < total+1 && in.Scan() {
		if found := missed.FindStringSubmatch(in.Text()); found != nil {
			var n int
			if _, err := fmt.Sscan(strings.ReplaceAll(found[1], ",", ""), &n); err != nil {
				t.Fatal(err)
			}
			dropped += n
		} else if strings.Contains(in.Text(), `"gap"`) {
			t.Errorf("another gap: %s", in.Text())
		} else {
			lines++
		}
	}
	if lines+dropped != total+1 || dropped == 0 || lines < 100 {
		t.Errorf("%d lines and %d dropped of %d", lines, dropped, total+1)
	}
	// Nobody reads any more: that is no failure, and it is noticed without another message.
	r.Close()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if text := stderr.String(); err != nil || text != "subscribed to topic t\n" {
			t.Errorf("its reader has gone: %v, %s", err, text)
		}
	case <-time.After(soon):
		t.Error("it goes on without a reader")
	}
}

// What is refused, and what is not there.
func TestSubscribeRefused(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	rdb := redistest.Client(t, srv)
	if err := rdb.Do(t.Context(), "ACL", "SETUSER", "prices", "on", ">secret", "resetkeys", "resetchannels", "&prices.*", "-@all", "+@pubsub", "+@connection").Err(); err != nil {
		t.Fatal(err)
	}
	o := operate(t, "redis://prices:secret@"+srv.Addr())
	const refused = "NOPERM"
	o.table([][3]any{
		{"subscribe orders", 1, `subscribe to "orders": redis user lacks a permission: NOPERM`},
		{"subscribe prices.gold* --pattern", 1, refused},
		{"subscribe orders --sharded", 1, refused},
		{"subscribe prices.gold --durable g", 1, refused},
		{"topics list", 1, refused},
	})
	allowed := start(t, o.env, workerPath, "subscribe", "prices.*", "--pattern", "--count", "1")
	allowed.says(&allowed.err, "subscribed to the topics prices.*\n")
	if err := rdb.Publish(t.Context(), "prices.gold", "1").Err(); err != nil {
		t.Fatal(err)
	}
	allowed.wantCode(0)
	// Refused later, after a reconnect.
	p := start(t, o.env, workerPath, "subscribe", "prices.gold")
	p.says(&p.err, "subscribed to topic prices.gold\n")
	if err := rdb.Do(t.Context(), "ACL", "SETUSER", "prices", "resetchannels").Err(); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	p.wantCode(1)
	if !strings.Contains(p.err.String(), refused) {
		t.Errorf("stderr %s", p.err.String())
	}
	away := operate(t, "redis://"+closed(t))
	for _, command := range []string{"subscribe t", "subscribe t --durable g", "subscribe t --from start", "topics list", "topics dead t g"} {
		away.table([][3]any{{command, 69, "worker: nothing answers at "}})
	}
}

func TestSubscribeUsage(t *testing.T) {
	t.Parallel()
	o := operate(t, "redis://127.0.0.1:1")
	o.table([][3]any{
		{"subscribe", 2, "want one TOPIC, got 0 arguments; for several topics: --pattern"},
		{"subscribe a b", 2, "want one TOPIC, got 2 arguments; for several topics: --pattern"},
		{"subscribe t --pattern --sharded", 2, "give --pattern or --sharded, not both: Redis has no patterns over sharded topics"},
		{"subscribe t --pattern --durable g", 2, "--pattern is for live topics: leave out --durable and --from, or name one topic"},
		{"subscribe t --sharded --from now", 2, "a durable topic is read without --sharded"},
		{"subscribe t --durable=", 2, "--durable is given and empty: want the name of a group"},
		{"subscribe t --no-follow", 2, "--no-follow goes with --from, without --durable"},
		{"subscribe t --count 0", 2, "--count 0: want 1 or more"},
		{"subscribe t --count many", 2, `invalid argument "many" for "--count" flag: want a whole number`},
		{"subscribe t --buffer 0", 2, "--buffer 0: want 1 to 16777216 messages"},
		{"subscribe t --buffer 5 --durable g", 2, "--buffer is for live topics"},
		{"subscribe t --from +1h", 2, `--from: "+1h" is to come`},
		{"subscribe t --from=", 2, `--from: "": want start, now, a position`},
		{"subscribe t --durabel g", 2, "unknown flag: --durabel (did you mean --durable?)"},
		{"subscribe t --redis=", 2, "--redis is given and empty"},
		{"subscrbe t", 2, "unknown command"},
		{"topics dead t g --limit -1", 2, "--limit -1: allowed: 0 (all) or more"},
		{"topics dead t g --json -q", 2, "--json and -q: give one of them"},
		{"topics redrive t", 2, "want TOPIC and GROUP, got 1 arguments"},
		{"topics list --jsn", 2, "unknown flag: --jsn (did you mean --json?)"},
	})
}

// The same on a Cluster, for every kind of topic.
func TestSubscribeOnCluster(t *testing.T) {
	t.Parallel()
	url := redistest.NewCluster(t, 3, false).URL(t)
	o := operate(t, url)
	for _, c := range []struct{ flags, topic, publish string }{
		{"", "live", ""}, {"--pattern", "pat*", ""}, {"--sharded", "shard", "--sharded"}, {"--durable g", "kept", ""},
	} {
		p := start(t, o.env, workerPath, append([]string{"subscribe", c.topic, "--count", "2"}, strings.Fields(c.flags)...)...)
		p.says(&p.err, "subscribed to ")
		topic := strings.ReplaceAll(c.topic, "*", "tern")
		run(t, o.env, enqueuePath, append([]string{"publish", topic, "1"}, strings.Fields(c.publish)...)...).wantCode(0)
		run(t, o.env, enqueuePath, append([]string{"publish", topic, "2"}, strings.Fields(c.publish)...)...).wantCode(0)
		p.wantCode(0)
		if n := strings.Count(p.out.String(), `{"topic":"`+topic+`",`); n != 2 {
			t.Errorf("%s: %d lines", topic, n)
		}
	}
	o.table([][3]any{
		{"topics list", 0, "kept "},
		{"topics show kept --json", 0, `"messages":2`},
		{"topics delete kept --yes", 0, "deleted topic kept with 2 messages and 1 group\n"},
	})
}
