package broker_test

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/brokertest"
	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/redistest"
)

// header is the contract above a script.
type header struct {
	name, body string
	field      map[string]string // purpose, KEYS, ARGV, RETURNS, ERRORS
	keys, args shape
}

// shape is how many values a script takes: some once, and some again and again.
type shape struct{ once, each int }

func (s shape) fits(n int) bool {
	if s.each == 0 {
		return n == s.once
	}
	return n >= s.once && (n-s.once)%s.each == 0
}

var (
	aside    = regexp.MustCompile(`\([^()]*\)`)
	thenEach = regexp.MustCompile(`^then (two|three|four|five|six) for each [^:]*: (.*)$`)
	numbers  = map[string]int{"two": 2, "three": 3, "four": 4, "five": 5, "six": 6}
)

// readHeaders reads every script but what they share.
func readHeaders(t *testing.T) map[string]*header {
	files, err := os.ReadDir("lua")
	if err != nil {
		t.Fatal(err)
	}
	library, end := readLua(t, "library.lua"), readLua(t, "exchange_seldom.lua")+readLua(t, "library_end.lua")
	basics, prelude, moves, mending := readLua(t, "basics.lua"), readLua(t, "prelude.lua"), readLua(t, "moves.lua"), readLua(t, "mending.lua")
	out := make(map[string]*header) // by digest
	for _, f := range files {
		if slices.Contains([]string{"basics.lua", "prelude.lua", "moves.lua", "mending.lua", "library.lua", "exchange_seldom.lua", "library_end.lua"}, f.Name()) {
			continue
		}
		if strings.HasPrefix(f.Name(), "direct_") { // which are sent as text, see TestDirect
			continue
		}
		text := readLua(t, f.Name())
		h := parseHeader(strings.TrimSuffix(f.Name(), ".lua"), text)
		h.keys, err = keyShape(h.field["KEYS"])
		if err != nil {
			t.Errorf("%s: KEYS: %v", h.name, err)
		}
		if h.args, err = argShape(h.field["ARGV"]); err != nil {
			t.Errorf("%s: ARGV: %v", h.name, err)
		}
		shared := basics + prelude + moves
		if f.Name() == "enqueue.lua" || f.Name() == "fence.lua" || f.Name() == "order.lua" { // the basics are all they need
			shared = basics
		}
		if f.Name() == "exchange.lua" {
			shared = library + shared + end
		}
		if slices.Contains(mends, f.Name()) {
			shared += mending
		}
		sum := sha1.Sum([]byte(shared + text))
		out[hex.EncodeToString(sum[:])] = h
	}
	return out
}

// mends are the scripts of the doctor.
var mends = []string{"untangle.lua", "requeue.lua", "entry.lua", "clear.lua", "recount.lua", "adopt.lua", "aside.lua"}

func readLua(t *testing.T, name string) string {
	text, err := os.ReadFile("lua/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func parseHeader(name, text string) *header {
	h := &header{name: name, field: make(map[string]string)}
	at := "purpose"
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		comment, ok := strings.CutPrefix(line, "--")
		if !ok {
			h.body = strings.Join(lines[i:], "\n")
			break
		}
		comment = strings.TrimSpace(comment)
		if m := regexp.MustCompile(`^(KEYS|ARGV|RETURNS|ERRORS): (.*)$`).FindStringSubmatch(comment); m != nil {
			at, comment = m[1], m[2]
		}
		h.field[at] = strings.TrimSpace(h.field[at] + " " + comment)
	}
	return h
}

// parts are fixed keys that a script takes one by one.
var parts = []string{"jobs", "producers", "wake", "meta", "scheduled", "due"}

func keyShape(text string) (shape, error) {
	list, every := strings.CutPrefix(text, "for each queue: ")
	s := shape{}
	words := strings.Split(list, ", ")
	for _, word := range words {
		switch word = aside.ReplaceAllString(word, ""); {
		case word == "fixed":
			s.once += keys.Fixed
		case word == "then running of every session":
			s.each = 1
		case word == "then running and lanes of every session":
			s.each = 2
		case word == "then ready of each priority among the envelopes" && words[len(words)-1] == "in any order":
			s.each = 1
			return s, nil
		case slices.Contains(parts, word):
			s.once++
		case word == "key" || word == "new name" || word == "orders" || word == "running" || strings.TrimSpace(word) == "lanes":
			s.once++
		default:
			return s, fmt.Errorf("%q is none of fixed, running, lanes, orders, key, new name", word)
		}
	}
	if every {
		s = shape{0, s.once}
	}
	return s, nil
}

// argShape counts the values between commas; "x..." repeats, and so does a group "then five for each ack: ...".
func argShape(text string) (shape, error) {
	for aside.MatchString(text) {
		text = aside.ReplaceAllString(text, "")
	}
	if text == "none" {
		return shape{}, nil
	}
	s := shape{}
	words := strings.Split(text, ", ")
	for i, word := range words {
		rest := strings.Join(words[i:], ", ")
		if m := thenEach.FindStringSubmatch(rest); m != nil {
			s.each = numbers[m[1]]
			if n := strings.Count(m[2], ", ") + 1; n != s.each {
				return s, fmt.Errorf("%q lists %d values and says %s", rest, n, m[1])
			}
			return s, nil
		}
		switch {
		case rest == "then every session, in the order of KEYS":
			s.each = 1
			return s, nil
		case strings.HasSuffix(word, "...") && i == len(words)-1:
			s.each = 1
			return s, nil
		case strings.HasPrefix(word, "then ") || strings.Contains(word, "..."):
			return s, fmt.Errorf("%q is no form that this test knows", rest)
		}
		s.once++
	}
	return s, nil
}

// recorder is a hook that notes every script call.
type recorder struct{ calls [][]any }

func (r *recorder) DialHook(next redis.DialHook) redis.DialHook { return next }

func (r *recorder) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		r.note(cmd)
		return next(ctx, cmd)
	}
}

func (r *recorder) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			r.note(cmd)
		}
		return next(ctx, cmds)
	}
}

func (r *recorder) note(cmd redis.Cmder) {
	if args := cmd.Args(); strings.HasPrefix(strings.ToUpper(fmt.Sprint(args[0])), "EVAL") {
		r.calls = append(r.calls, slices.Clone(args))
	}
}

// digest names the script that a call runs.
func digest(call []any) string {
	if call[0] == "EVALSHA" {
		return call[1].(string)
	}
	sum := sha1.Sum([]byte(call[1].(string)))
	return hex.EncodeToString(sum[:])
}

func TestScriptHeaders(t *testing.T) {
	headers := readHeaders(t)
	rdb := redistest.Embedded(t)
	var r recorder
	rdb.AddHook(&r)
	brokertest.Tour(t, rdb, "ns", func() {})
	called, most := make(map[string]bool), make(map[string]int)
	for _, call := range r.calls {
		h := headers[digest(call)]
		if h == nil {
			t.Fatalf("a script was called that is none of lua/*.lua: %.60v", call[1])
		}
		n := call[2].(int)
		args := len(call) - 3 - n
		called[h.name], most[h.name] = true, max(most[h.name], args)
		if !h.keys.fits(n) {
			t.Errorf("%s: called with %d keys, its header says %q", h.name, n, h.field["KEYS"])
		}
		if !h.args.fits(args) {
			t.Errorf("%s: called with %d args, its header says %q", h.name, args, h.field["ARGV"])
		}
	}
	for _, h := range headers {
		if !called[h.name] {
			t.Errorf("nothing calls %s", h.name)
		}
		if h.args.each > 0 && most[h.name] < h.args.once+2*h.args.each {
			t.Errorf("%s: no call shows what it takes several of: %d args at most", h.name, most[h.name])
		}
		h.check(t)
	}
}

// options are upper-case words in the scripts that are no answers.
var options = []string{"WITHSCORES", "WITHVALUES", "LIMIT", "COUNT", "ZCARD", "HLEN", "LLEN", "WRONGTYPE", "READONLY", "READY", "SUSPECT",
	"RUNNING"}

// check holds the words of a header against those of the script.
func (h *header) check(t *testing.T) {
	if !strings.HasPrefix(h.field["purpose"], h.name) || len(h.field["purpose"]) < 30 {
		t.Errorf("%s: it says not what it is for: %q", h.name, h.field["purpose"])
	}
	if !strings.HasPrefix(h.field["RETURNS"], "now_us") {
		t.Errorf("%s: RETURNS %q", h.name, h.field["RETURNS"])
	}
	words := regexp.MustCompile(`\b[A-Z]{2,}\b`)
	for _, word := range words.FindAllString(h.field["RETURNS"], -1) {
		if !strings.Contains(h.body, word) {
			t.Errorf("%s: it never returns %s", h.name, word)
		}
	}
	answers := regexp.MustCompile(`[^(]'([A-Z]{2,})'`)
	for _, m := range answers.FindAllStringSubmatch(h.body, -1) {
		if !slices.Contains(options, m[1]) && !slices.Contains(words.FindAllString(h.field["RETURNS"], -1), m[1]) {
			t.Errorf("%s: RETURNS does not mention %s", h.name, m[1])
		}
	}
	errors := words.FindAllString(h.field["ERRORS"], -1)
	raises := map[string]bool{
		"WRONGKEY": (strings.Contains(h.body, "measure(") || strings.Contains(h.body, "wrong(")) && h.name != "heartbeat",
		"LOST":     strings.Contains(h.body, "dead_session("),
		"STALE":    strings.Contains(h.body, "stale("),
		"EXPIRED":  strings.Contains(h.body, "'EXPIRED "),
		"BADCALL":  strings.Contains(h.body, "'BADCALL "),
		"OOM":      strings.Contains(h.body, "error_reply(r.err)"),
	}
	for word, raised := range raises {
		if raised != slices.Contains(errors, word) {
			t.Errorf("%s: it raises %s: %v; ERRORS says %v", h.name, word, raised, errors)
		}
	}
}
