package queue_test

import (
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/internal/wire"
	"github.com/tidemill/tidemill/queue"
)

var update = flag.Bool("update", false, "write what the code says into docs/protocol.md")

const protocolPath = "../docs/protocol.md"

func protocol(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(protocolPath)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// rows finds the table behind a header line and answers its cells without backquotes.
func rows(t testing.TB, header string) [][]string {
	t.Helper()
	_, rest, found := strings.Cut(protocol(t), "\n"+header+"\n")
	if !found {
		t.Fatalf("%s has no table %q", protocolPath, header)
	}
	var out [][]string
	for line := range strings.Lines(rest) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		cells := strings.Split(strings.Trim(line, "| \n"), "|")
		for i := range cells {
			cells[i] = strings.ReplaceAll(strings.TrimSpace(cells[i]), "`", "")
		}
		out = append(out, cells)
	}
	return out[1:] // without the line of dashes
}

// pinned holds a piece of the document against what the code says; with -update it is written there.
func pinned(t *testing.T, what, pattern, want string) {
	t.Helper()
	text := protocol(t)
	at := regexp.MustCompile(pattern).FindStringSubmatchIndex(text)
	if at == nil {
		t.Fatalf("%s: no %s", protocolPath, what)
	}
	switch got := text[at[2]:at[3]]; {
	case got == want:
	case *update:
		if err := os.WriteFile(protocolPath, []byte(text[:at[2]]+want+text[at[3]:]), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s: %s is\n%s\nthe code says\n%s\nif that is meant: go test ./queue -run TestProtocol -update", protocolPath, what, got, want)
	}
}

func enqueueSource(t testing.TB) string {
	t.Helper()
	var source string
	for _, name := range []string{"basics", "enqueue"} {
		part, err := os.ReadFile("../internal/broker/lua/" + name + ".lua")
		if err != nil {
			t.Fatal(err)
		}
		source += string(part)
	}
	return source
}

func TestProtocolScript(t *testing.T) {
	source := enqueueSource(t)
	sum := sha1.Sum([]byte(source))
	digest := hex.EncodeToString(sum[:])
	pinned(t, "digest", "(?s)```sha1\n(.*?)\n```", digest)
	_, enqueueLua, _ := strings.Cut(source, "-- enqueue:")
	var header []string
	for line := range strings.Lines("-- enqueue:" + enqueueLua) {
		if !strings.HasPrefix(line, "--") {
			break
		}
		header = append(header, strings.TrimSuffix(line, "\n"))
	}
	pinned(t, "contract", "(?s)```lua\n(.*?)\n```", strings.Join(header, "\n"))
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		c := open(t, srv.URL())
		enqueue(t, c, email{"x"})
		if there, err := c.Redis().ScriptExists(t.Context(), digest).Result(); err != nil || !there[0] {
			t.Errorf("what the client runs is another script than the document's: %v", err)
		}
	})
}

func TestProtocolKeys(t *testing.T) {
	space, _ := keys.NewSpace("")
	q, err := space.Queue("q")
	if err != nil {
		t.Fatal(err)
	}
	table := rows(t, "| key of a queue | type | holds |")
	if len(table) != len(q.Fixed()) {
		t.Errorf("%d rows for %d keys", len(table), len(q.Fixed()))
	}
	for i, row := range table {
		if row[0] != q.Fixed()[i] {
			t.Errorf("row %d is %v, the code has %s", i+1, row, q.Fixed()[i])
		}
	}
	if !strings.Contains(protocol(t), "`SADD "+space.Queues()+" q`") {
		t.Errorf("the document does not name %s", space.Queues())
	}
}

func TestProtocolIDs(t *testing.T) {
	space := uuid.MustParse(regexp.MustCompile("namespace\n`([0-9a-f-]{36})`").FindStringSubmatch(protocol(t))[1])
	id, key, err := wire.KeyID("tm", "default", "order 17")
	if err != nil || key != "order 17" || id != uuid.NewSHA1(space, []byte("tm\x00default\x00order 17")) {
		t.Errorf("%s, %q, %v", id, key, err)
	}
	pinned(t, "id of a text", "the text `order 17` is `(.*?)`", id.String())
}

func TestProtocolOutcomes(t *testing.T) {
	var letters string
	for _, row := range rows(t, "| letter | outcome |") {
		letters += row[0]
	}
	if want := string([]byte{byte(broker.Created), byte(broker.Duplicate), byte(broker.DuplicateCancelled), byte(broker.NotEnvelope)}); letters != want {
		t.Errorf("letters %q, the code has %q", letters, want)
	}
	if want := fmt.Sprintf("at most %d jobs a call", broker.MaxBatch); !strings.Contains(protocol(t), want) {
		t.Errorf("the document does not say %q", want)
	}
}

func TestProtocolHead(t *testing.T) {
	if !strings.Contains(protocol(t), fmt.Sprintf("envelope version **%d**", wire.Version)) {
		t.Errorf("the code writes version %d", wire.Version)
	}
	known := map[byte]bool{}
	for _, row := range rows(t, "| flag | field | length | what |") {
		bit, err := strconv.Atoi(row[0])
		if err != nil {
			t.Fatal(err)
		}
		known[byte(bit)] = true
	}
	for shift := range 8 {
		bit := byte(1) << shift
		head := append([]byte{wire.Version, bit, 0, 0, 13}, make([]byte, 8)...)
		err := new(wire.Envelope).Decode(append(head, "\x0a\x01k"...))
		if (err == nil) != known[bit] {
			t.Errorf("flag %d: the document knows it: %v, the code says %v", bit, known[bit], err)
		}
	}
	both := (&wire.Envelope{Kind: "k", Priority: 7, ExpiresAt: 0x0102030405060708, Retention: 9}).Append(nil)
	want := append([]byte{1, 1 | 2, 7, 0, 21, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 9}, "\x0a\x01k"...)
	if string(both) != string(want) {
		t.Errorf("the head is % x, the document says % x", both, want)
	}
	if err := new(wire.Envelope).Decode([]byte{wire.Version + 1, 0, 0, 0, 5}); !errors.Is(err, wire.ErrNewer) || !strings.Contains(err.Error(), "upgrade the worker") {
		t.Errorf("a newer version: %v", err)
	}
}

// fields parses a message of the document: number and wire type by name.
func fields(t testing.TB, message string) map[string][2]int {
	t.Helper()
	_, rest, found := strings.Cut(protocol(t), "message "+message+" {\n")
	if !found {
		t.Fatalf("no message %s", message)
	}
	rest, _, _ = strings.Cut(rest, "\n}")
	out := map[string][2]int{}
	for _, m := range regexp.MustCompile(`(?m)^\s*(?:repeated )?(\w+|map<string, string>) (\w+) = (\d+);`).FindAllStringSubmatch(rest, -1) {
		number, _ := strconv.Atoi(m[3])
		kind := 2
		if m[1] == "int64" {
			kind = 0
		}
		out[m[2]] = [2]int{number, kind}
	}
	return out
}

// firstField reads number and wire type of the first field of a body.
func firstField(body []byte) [2]int {
	tag, _ := binary.Uvarint(body)
	return [2]int{int(tag >> 3), int(tag & 7)}
}

func TestProtocolBody(t *testing.T) {
	documented := fields(t, "Body")
	for name, e := range map[string]wire.Envelope{"kind": {Kind: "k"}, "args": {Args: []byte("a")}, "key": {Key: "k"}, "created_at": {CreatedAt: 1},
		"max_attempts": {MaxAttempts: 1}, "timeout": {Timeout: 1}, "deadline": {Deadline: 1}, "encoding": {Encoding: "e"},
		"meta": {Meta: map[string]string{"a": "b"}}, "notify": {Notify: "n"}, "due_at": {DueAt: 1}} {
		if got := firstField(e.Append(nil)[5:]); got != documented[name] {
			t.Errorf("%s is %v, the document says %v", name, got, documented[name])
		}
		delete(documented, name)
	}
	if len(documented) != 0 {
		t.Errorf("the code has no %v", documented)
	}
	if want := fmt.Sprintf("%d where it is not set", queue.DefaultMaxAttempts); !strings.Contains(protocol(t), want) {
		t.Errorf("the document does not say %q", want)
	}
	example := wire.Envelope{Kind: "email.welcome", Args: []byte(`{"to":"ann"}`), CreatedAt: 1700000000000, Retention: 3600_000, Priority: 7}
	pinned(t, "example", "(?s)```hex\n(.*?)\n```", hex.EncodeToString(example.Append(nil)))
}

func TestProtocolStateRecord(t *testing.T) {
	documented := fields(t, "Record")
	failure := wire.Failure{Attempt: 1}
	for name, s := range map[string]wire.State{"unknown_at": {UnknownAt: 1}, "snoozes": {Snoozes: 1}, "started_at": {StartedAt: 1},
		"finished_at": {FinishedAt: 1}, "due_at": {DueAt: 1}, "brief": {Errors: []wire.Failure{failure}}} {
		record, brief := s.Append(nil)
		if got := firstField(record[7:]); got != documented[name] {
			t.Errorf("%s is %v, the document says %v", name, got, documented[name])
		}
		if name == "brief" && firstField(record[brief:]) != documented["errors"] {
			t.Errorf("errors is %v, the document says %v", firstField(record[brief:]), documented["errors"])
		}
	}
	nested := fields(t, "Failure")
	for name, f := range map[string]wire.Failure{"attempt": failure, "at": {At: 1}, "error": {Error: "e"}, "stack": {Stack: "s"}} {
		s := wire.State{Errors: []wire.Failure{f}}
		record, brief := s.Append(nil)
		if got := firstField(record[brief+2:]); got != nested[name] {
			t.Errorf("%s of a failure is %v, the document says %v", name, got, nested[name])
		}
	}
	want := fmt.Sprintf("flags: %d suspect, %d cancelled, %d crashed, %d expired", wire.Suspect, wire.Cancelled, wire.Crashed, wire.Expired)
	if !strings.Contains(protocol(t), want) || !strings.Contains(protocol(t), fmt.Sprintf("at most %d\n", wire.MaxFailures)) {
		t.Errorf("the document does not say %q", want)
	}
	full := wire.State{Flags: 15, Generation: 2, Ghosts: 3, Crashes: 4, Attempts: 0x0506}
	if record, _ := full.Append(nil); string(record) != "\x01\x0f\x02\x03\x04\x05\x06" {
		t.Errorf("the head of a record is % x", record)
	}
}
