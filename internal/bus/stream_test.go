package bus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/conn"
	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
)

// stage is a topic and the calls on it.
type stage struct {
	t     testing.TB
	rdb   redis.UniversalClient
	s     *Streams
	topic *keys.Topic
}

func newStage(t testing.TB, rdb redis.UniversalClient) *stage {
	t.Helper()
	space, err := keys.NewSpace("ns")
	if err != nil {
		t.Fatal(err)
	}
	topic, err := space.Topic("orders")
	if err != nil {
		t.Fatal(err)
	}
	return &stage{t, rdb, NewStreams(rdb, space), topic}
}

func (g *stage) group(session string) Group {
	return Group{Topic: g.topic, Name: "g", Session: session}
}

func (g *stage) must(err error) {
	g.t.Helper()
	if err != nil {
		g.t.Fatal(err)
	}
}

func (g *stage) beat(session string, mode Mode) Pulse {
	g.t.Helper()
	p, err := g.s.Beat(g.t.Context(), g.group(session), mode, 6*time.Second, "0-0", 0)
	g.must(err)
	return p
}

func (g *stage) publish(messages ...string) {
	g.t.Helper()
	all := make([][]byte, len(messages))
	for i, m := range messages {
		all[i] = []byte(m)
	}
	_, err := g.s.Publish(g.t.Context(), g.topic, Publication{Keep: &Retention{Count: 1000, Age: time.Hour}}, all)
	g.must(err)
}

func (g *stage) read(session string, n int) []Entry {
	g.t.Helper()
	entries, err := g.s.Read(g.t.Context(), g.group(session), n)
	g.must(err)
	return entries
}

// tour makes every call once, and shows after each what it left.
func tour(t testing.TB, rdb redis.UniversalClient, show func()) {
	g := newStage(t, rdb)
	ctx := t.Context()
	g.must(g.s.Add(ctx, g.topic))
	g.beat("a", Register)
	g.beat("b", Register)
	g.publish("1", "2", "3", "4")
	show()
	got := g.read("a", 3)
	if len(got) != 3 || string(got[0].Data) != "1" || got[0].Deliveries != 1 {
		t.Fatalf("read %+v", got)
	}
	lost, err := g.s.Settle(ctx, g.group("a"), []string{got[0].Position}, []Owned{{got[1].Position, 2}, {"7-7", 2}})
	if err != nil || fmt.Sprint(lost) != "[7-7]" {
		t.Errorf("settle: %v, %v", lost, err)
	}
	g.must(g.s.Shelve(ctx, g.group("b"), []Owned{{got[2].Position, 1}})) // not its own
	g.must(g.s.Shelve(ctx, g.group("a"), []Owned{{got[2].Position, 1}, {"7-7", 1}}))
	if p := g.beat("a", Keep); fmt.Sprint(p.Gone) != "[a:shelf]" {
		t.Errorf("beat: %+v", p)
	}
	back, err := g.s.Recover(ctx, g.group("a"), "a:shelf", 6*time.Second, 10, true)
	if err != nil || back.More || len(back.Entries) != 1 || back.Entries[0].Deliveries != 1 || back.Entries[0].Crashes != 0 {
		t.Errorf("recover: %+v, %v", back, err)
	}
	own, err := g.s.GiveUp(ctx, g.group("a"), got[2], "broken")
	if err != nil || !own {
		t.Errorf("give up: %v, %v", own, err)
	}
	if own, err := g.s.GiveUp(ctx, g.group("b"), got[1], "not its own"); err != nil || own {
		t.Errorf("give up: %v, %v", own, err)
	}
	show()
	g.must(rdb.ZAdd(ctx, g.topic.Members("g"), redis.Z{Score: 1, Member: "a"}).Err()) // long ago
	if p := g.beat("b", Keep); fmt.Sprint(p.Gone) != "[a]" || !p.Undelivered {
		t.Errorf("beat: %+v", p)
	}
	r, err := g.s.Recover(ctx, g.group("b"), "a", 6*time.Second, 10, true)
	if err != nil || r.More || len(r.Entries) != 1 || r.Entries[0].Deliveries != 3 || r.Entries[0].Crashes != 1 || string(r.Entries[0].Data) != "2" {
		t.Errorf("recover: %+v, %v", r, err)
	}
	show()
	if p := g.beat("a", Keep); !p.Lost {
		t.Errorf("beat of the lost: %+v", p)
	}
	n, err := g.s.Redrive(ctx, g.topic, "g", nil)
	if err != nil || n != 1 {
		t.Errorf("redrive: %d, %v", n, err)
	}
	if about, err := g.s.About(ctx, g.topic); err != nil || len(about.Groups) != 1 || about.Groups[0].Lag != 2 || about.Groups[0].Pending != 1 {
		t.Errorf("%+v, %v", about, err)
	}
	g.beat("b", Bye)
	show()
	g.must(g.s.DropGroup(ctx, g.topic, "g"))
	g.must(g.s.Drop(ctx, g.topic))
	if left, err := rdb.Keys(ctx, "*").Result(); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestStreamKeys holds the table in doc.go against what the scripts write.
func TestStreamKeys(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	rows, seen := make(map[string]string), make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^//\t(tm:\S+)\s+(STREAM|HASH|ZSET|SET)\s`).FindAllStringSubmatch(string(source), -1) {
		rows[strings.NewReplacer("tm:", "ns:", "{t}", "{orders}", "<g>", "g").Replace(m[1])] = strings.ToLower(m[2])
	}
	rdb := redistest.Embedded(t)
	tour(t, rdb, func() {
		names, err := rdb.Keys(t.Context(), "*").Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if kind := rdb.Type(t.Context(), name).Val(); rows[name] != kind {
				t.Errorf("%s is a %s, doc.go says %q", name, kind, rows[name])
			}
			seen[name] = true
		}
	})
	if len(rows) != 6 || len(seen) != len(rows) {
		t.Errorf("%d rows, of which the scripts wrote %d", len(rows), len(seen))
	}
}

func TestTourOnServers(t *testing.T) {
	t.Parallel()
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		tour(t, redistest.Client(t, srv), func() {
			if err := redistest.Client(t, srv).ScriptFlush(context.Background()).Err(); err != nil {
				t.Error(err)
			}
		})
	})
}

// A key of another type stops a call before it has changed anything, and is named.
func TestStreamKeysOfAnotherType(t *testing.T) {
	t.Parallel()
	rdb := redistest.Embedded(t)
	g := newStage(t, rdb)
	ctx := t.Context()
	calls := map[string]func() error{
		"publish": func() error { _, err := g.s.Publish(ctx, g.topic, Publication{}, [][]byte{{1}}); return err },
		"beat":    func() error { _, err := g.s.Beat(ctx, g.group("s"), Register, time.Second, "0-0", 0); return err },
		"recover": func() error { _, err := g.s.Recover(ctx, g.group("s"), "x", time.Second, 1, true); return err },
		"settle":  func() error { _, err := g.s.Settle(ctx, g.group("s"), []string{"1-1"}, nil); return err },
		"dead":    func() error { _, err := g.s.GiveUp(ctx, g.group("s"), Entry{Position: "1-1"}, ""); return err },
		"redrive": func() error { _, err := g.s.Redrive(ctx, g.topic, "g", []string{"1-1"}); return err },
		"drop":    func() error { return g.s.DropGroup(ctx, g.topic, "g") },
		"count":   func() error { _, err := g.s.lag(ctx, g.topic, "0-0"); return err },
	}
	touches := map[string][]string{
		g.topic.Stream():     {"publish", "beat", "recover", "settle", "dead", "redrive", "drop", "count"},
		g.topic.About():      {"publish", "beat", "recover", "drop"},
		g.topic.Members("g"): {"beat", "recover", "drop"}, g.topic.Crashed("g"): {"recover", "settle", "dead", "drop"},
		g.topic.GivenUp("g"): {"recover", "dead", "redrive", "drop"},
	}
	for key, verbs := range touches {
		for _, verb := range verbs {
			g.must(rdb.FlushAll(ctx).Err())
			g.must(rdb.Set(ctx, key, "x", 0).Err())
			var wrong *KeyTypeError
			if err := calls[verb](); !errors.As(err, &wrong) || wrong.Key != key {
				t.Errorf("%s with a wrong %s: %v", verb, key, err)
			}
			if all := rdb.Keys(ctx, "*").Val(); !slices.Equal(all, []string{key}) {
				t.Errorf("%s with a wrong %s left %v", verb, key, all)
			}
		}
	}
}

// On a full Redis nothing is published, and all else works.
func TestStreamsOfAFullRedis(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t, redistest.WithMaxMemory("16mb"))
	rdb := redistest.Client(t, srv)
	g := newStage(t, rdb)
	ctx := t.Context()
	g.beat("a", Register)
	g.beat("gone", Register)
	g.publish("1", "2", "3")
	g.read("gone", 1)
	empty := redistest.FillMemory(t, srv)
	if _, err := g.s.Publish(ctx, g.topic, Publication{}, [][]byte{[]byte("4")}); !errors.Is(err, conn.ErrFull) || errors.Is(err, ErrMaybe) {
		t.Errorf("publish: %v", err)
	}
	g.beat("a", Keep)
	g.beat("b", Register)
	got := g.read("a", 5)
	if len(got) != 2 {
		t.Fatalf("read %d", len(got))
	}
	if lost, err := g.s.Settle(ctx, g.group("a"), []string{got[0].Position}, []Owned{{got[1].Position, 2}}); err != nil || len(lost) > 0 {
		t.Errorf("settle: %v, %v", lost, err)
	}
	if own, err := g.s.GiveUp(ctx, g.group("a"), got[1], "x"); err != nil || !own {
		t.Errorf("give up: %v, %v", own, err)
	}
	g.beat("gone", Bye)
	if r, err := g.s.Recover(ctx, g.group("a"), "gone", 6*time.Second, 5, true); err != nil || len(r.Entries) != 1 || r.Entries[0].Deliveries != 1 {
		t.Errorf("recover: %+v, %v", r, err)
	}
	if _, err := g.s.Redrive(ctx, g.topic, "g", nil); !errors.Is(err, conn.ErrFull) {
		t.Errorf("redrive: %v", err)
	}
	empty()
	if n, err := g.s.Redrive(ctx, g.topic, "g", nil); err != nil || n != 1 {
		t.Errorf("redrive: %d, %v", n, err)
	}
	g.publish("4")
	if got := g.read("a", 5); len(got) != 2 || got[0].Group != "g" || string(got[1].Data) != "4" {
		t.Errorf("%+v", got)
	}
}
