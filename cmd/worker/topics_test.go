package main_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/pubsub"
)

// openTopics connects to a server for as long as the test runs.
func openTopics(t *testing.T, url string) *pubsub.Client {
	t.Helper()
	client, err := pubsub.Open(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// publish puts messages into a durable topic.
func publish(t *testing.T, client *pubsub.Client, topic string, messages ...string) {
	t.Helper()
	durable, err := pubsub.NewDurable[pubsub.Raw](client, topic)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		if _, err := durable.Publish(t.Context(), pubsub.Raw(m), pubsub.Meta("by", "test")); err != nil {
			t.Fatal(err)
		}
	}
}

// giveUp takes messages of a group and gives each of them up.
func giveUp(t *testing.T, client *pubsub.Client, topic, group string, n int) {
	t.Helper()
	durable, err := pubsub.NewDurable[pubsub.Raw](client, topic)
	if err != nil {
		t.Fatal(err)
	}
	member, err := durable.Subscribe(t.Context(), group, pubsub.Batch(1))
	if err != nil {
		t.Fatal(err)
	}
	defer member.Close()
	for i := range n {
		m, err := member.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Nack(t.Context(), pubsub.Dead(fmt.Errorf("no luck %d \x1b[31m", i))); err != nil {
			t.Fatal(err)
		}
	}
}

// groupInfo is a group as Redis has it.
func groupInfo(t *testing.T, client *pubsub.Client, topic, group string) pubsub.GroupInfo {
	t.Helper()
	info, err := client.Streams().Info(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range info.Groups {
		if g.Group == group {
			return g
		}
	}
	t.Fatalf("topic %s has no group %s", topic, group)
	return pubsub.GroupInfo{}
}

func TestTopics(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := openTopics(t, srv.URL())
	o := operate(t, srv.URL())
	o.table([][3]any{
		{"topics list", 0, ""},
		{"topics list --json", 0, ""},
		{"topics show orders", 1, `there is no durable topic "orders", nor any other`},
	})
	publish(t, client, "orders", `{"order":1}`, `{"order":2}`, "not\x1b JSON")
	publish(t, client, "old-orders", `1`)
	giveUp(t, client, "orders", "billing", 3)
	publish(t, client, "orders", `{"order":4}`)
	o.table([][3]any{
		{"topics list", 0, "orders             4  0s ago  0s ago       1    1        0     3\n"},
		{"topics list old-orders --json", 0, `{"topic":"old-orders","messages":1,"first":"`},
		{"topics list ordres", 1, `there is no durable topic "ordres" (did you mean orders?); there are old-orders, orders`},
		{"topics show orders", 0, "messages  4\n"},
		{"topics show orders", 0, "kept      all\n"},
		{"topics show orders", 0, "GROUP    MEMBERS  LAG  PENDING  OLDEST  DEAD\nbilling        0    1        0             3\n"},
		{"topics show orders --json", 0, `"groups":[{"group":"billing","members":0,"lag":1,"pending":0,"dead":3}]}`},
		{"topics dead orders biling", 1, `topic orders has no group "biling" (did you mean billing?); there are billing`},
		{"topics dead orders billing", 0, `no luck 2 \x1b[31m`},
		{"topics dead orders billing", 0, `not\x1b JSON`},
		{"topics dead orders billing --json --limit 1", 0, `"attempts":1,"error":"no luck 0 \u001b[31m","data":{"order":1},"meta":{"by":"test"}}` + "\n"},
		{"topics dead orders billing --json", 0, `"data":"not\u001b JSON"`},
		{"topics dead old-orders billing", 1, `topic old-orders has no group "billing"`},
		{"topics redrive orders billing", 2, "stdin is no terminal, so nobody can be asked: give --yes, or --dry-run to see what it would do"},
		{"topics redrive orders billing --dry-run", 0, "3 messages would be given back\n"},
		{"topics redrive orders billing 17-0", 1, "1 of the 1 named is not among the dead of group billing"},
		{"topics redrive orders billing 17", 2, `"17" is not a position`},
		{"topics redrive orders billing - 17-0", 2, "give - or POSITIONs, not both"},
	})
	// A name that is noted and has no stream, as one whose first message was refused leaves it.
	if err := client.Redis().SAdd(t.Context(), "tm:topics", "ghost").Err(); err != nil {
		t.Fatal(err)
	}
	o.table([][3]any{{"topics list", 0, "old-orders "}, {"topics show ghost", 1, `worker: there is no durable topic "ghost"`}})
	positions := strings.Fields(o.says("topics dead orders billing -q"))
	if len(positions) != 3 {
		t.Fatalf("positions %q", positions)
	}
	o.table([][3]any{
		{"topics redrive orders billing " + positions[0] + " 17-0 --dry-run --json", 1, "1 of the 2 named is not among the dead"},
		{"topics redrive orders billing " + positions[0] + " " + positions[0], 0, "1 message given back\n"},
	})
	if g := groupInfo(t, client, "orders", "billing"); g.Dead != 2 || g.Lag != 2 {
		t.Errorf("after one came back: %+v", g)
	}
	o.table([][3]any{
		{"topics redrive orders billing --yes --json", 0, `{"topic":"orders","group":"billing","dry_run":false,"matched":2,"redriven":2}` + "\n"},
		{"topics redrive orders billing --yes", 0, "0 messages given back\n"},
		{"subscribe orders --durable billing --count 4", 0, `"data":{"order":4}`},
		{"topics delete-group orders billing --dry-run", 0, "group billing of topic orders (0 messages not delivered, 0 pending, 0 dead) would be deleted\n"},
		{"topics delete-group orders billing", 2, "give --yes"},
		{"topics delete-group orders billing --yes --json", 0, `{"topic":"orders","group":"billing","dry_run":false,"deleted":true}` + "\n"},
		{"topics delete-group orders billing --yes", 1, `topic orders has no group "billing"`},
		{"topics delete orders --dry-run --json", 0, `"dry_run":true,"messages":`},
		{"topics delete old-orders --yes", 0, "deleted topic old-orders with 1 message and 0 groups\n"},
		{"topics delete old-orders --yes", 1, `there is no durable topic "old-orders"`},
		{"topics delete", 2, "want TOPIC, got 0 arguments"},
		{"topics dead orders", 2, "want TOPIC and GROUP, got 1 arguments"},
		{"topics lst", 2, `unknown command "lst" (did you mean list?)`},
		{"topics retry", 2, `unknown command "retry" (did you mean redrive?)`},
	})
}

// Nothing goes while a member is connected, and the members say so.
func TestTopicsInUse(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	publish(t, openTopics(t, srv.URL()), "orders", "1")
	o := operate(t, srv.URL())
	p := start(t, o.env, workerPath, "subscribe", "orders", "--durable", "billing")
	p.says(&p.out, `"data":1`)
	o.table([][3]any{
		{"topics delete orders --dry-run", 0, "topic orders with 1 message and 1 group, 1 member connected would be deleted\n"},
		{"topics delete orders --yes", 1, "in use"},
		{"topics delete-group orders billing --yes", 1, "in use"},
	})
	p.signal(interrupt)
	p.wantCode(0)
	o.table([][3]any{{"topics delete orders --yes", 0, "deleted topic orders"}})
}

func TestTopicsCompletion(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := openTopics(t, srv.URL())
	publish(t, client, "orders", "1", "2")
	giveUp(t, client, "orders", "billing", 1)
	dead := ""
	for m, err := range client.Streams().Dead(t.Context(), "orders", "billing") {
		if err != nil {
			t.Fatal(err)
		}
		dead = m.Position
	}
	env := []string{"REDIS_URL=" + srv.URL()}
	for args, want := range map[string]string{
		"topics ": "delete-group", "topics show ": "orders", "topics dead orders ": "billing", "topics redrive orders billing ": dead + "\tno luck 0",
		"topics delete ": "orders", "topics delete-group orders ": "billing", "subscribe ": "orders", "subscribe orders --durable ": "billing",
		"subscribe orders --from ": "start", "topics list orders ": "orders",
	} {
		all := append([]string{"__complete"}, strings.Fields(args)...)
		p := run(t, env, workerPath, append(all, "")...)
		if p.code() != 0 || !strings.Contains(p.out.String(), want) {
			t.Errorf("%s: exit code %d, want %q in:\n%s%s", args, p.code(), want, p.out.String(), p.err.String())
		}
	}
	if p := run(t, env, enqueuePath, "__complete", "publish", ""); !strings.HasPrefix(p.out.String(), "orders\n") {
		t.Errorf("enqueue publish: %s", p.out.String())
	}
	for _, path := range []string{workerPath, enqueuePath} {
		verb := map[string]string{workerPath: "topics", enqueuePath: "publish"}[path]
		p := run(t, []string{"REDIS_URL=redis://" + closed(t)}, path, "__complete", verb, "show", "")
		if path == enqueuePath {
			p = run(t, []string{"REDIS_URL=redis://" + closed(t)}, path, "__complete", verb, "")
		}
		if p.code() != 0 || p.out.String() != ":4\n" {
			t.Errorf("%s without Redis: %q", path, p.out.String())
		}
	}
}

// line is one that worker subscribe prints.
type line struct {
	Topic, ID, Time string
	Data            json.RawMessage
	Position        string
	Attempt         int
	Gap             *struct{ From, To, Reason string }
}

// lines are those that it printed so far, as far as they are whole.
func (p *process) lines() (found []line) {
	p.t.Helper()
	text := p.out.String()
	for one := range strings.Lines(text[:strings.LastIndexByte(text, '\n')+1]) {
		var l line
		if err := json.Unmarshal([]byte(one), &l); err != nil {
			p.t.Fatal(errors.Join(err, errors.New(one)))
		}
		found = append(found, l)
	}
	return found
}
