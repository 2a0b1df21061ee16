package bus

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/internal/script"
)

// streamRecorder notes every script call.
type streamRecorder struct{ calls [][]any }

func (r *streamRecorder) DialHook(next redis.DialHook) redis.DialHook { return next }

func (r *streamRecorder) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if args := cmd.Args(); args[0] == "EVALSHA" {
			r.calls = append(r.calls, slices.Clone(args))
		}
		return next(ctx, cmd)
	}
}

func (r *streamRecorder) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// fits tells whether a call has as many values as a header lists; "..." and "then ..." repeat.
func fits(list string, n int) bool {
	for notes := regexp.MustCompile(`\([^()]*\)`); notes.MatchString(list); {
		list = notes.ReplaceAllString(list, "")
	}
	words := strings.Split(list, ", ")
	for i, word := range words {
		if strings.HasSuffix(word, "...") || strings.HasPrefix(word, "then ") {
			return n >= i
		}
	}
	return n == len(words)
}

// The headers of the scripts say what they are given, and what they answer.
func TestStreamScriptHeaders(t *testing.T) {
	t.Parallel()
	rdb := redistest.Embedded(t)
	var r streamRecorder
	rdb.AddHook(&r)
	tour(t, rdb, func() {})
	for _, s := range []*script.Script{publishScript, beatScript, recoverScript, settleScript, shelveScript, deadScript, redriveScript, dropScript, countScript} {
		text, err := os.ReadFile("lua/" + s.Name + ".lua")
		if err != nil {
			t.Fatal(err)
		}
		head := make(map[string]string)
		at, body := "purpose", ""
		for line := range strings.Lines(string(text)) {
			comment, ok := strings.CutPrefix(line, "--")
			if !ok || body != "" {
				body += line
				continue
			}
			comment = strings.TrimSpace(comment)
			if m := regexp.MustCompile(`^(KEYS|ARGV|RETURNS|ERRORS): (.*)$`).FindStringSubmatch(comment); m != nil {
				at, comment = m[1], m[2]
			}
			head[at] = strings.TrimSpace(head[at] + " " + comment)
		}
		if !strings.HasPrefix(head["purpose"], s.Name+": ") || !strings.HasPrefix(head["RETURNS"], "now_us, ") || head["ERRORS"] == "" {
			t.Errorf("%s: header %v", s.Name, head)
		}
		called := false
		for _, call := range r.calls {
			if call[1] != s.Digest() {
				continue
			}
			called = true
			n := call[2].(int)
			if !fits(head["KEYS"], n) || !fits(head["ARGV"], len(call)-3-n) {
				t.Errorf("%s: called with %d keys and %d values; its header says %q and %q", s.Name, n, len(call)-3-n, head["KEYS"], head["ARGV"])
			}
		}
		if !called {
			t.Errorf("nothing calls %s", s.Name)
		}
		for _, word := range regexp.MustCompile(`\b[A-Z]{3,}\b`).FindAllString(head["RETURNS"], -1) {
			if !strings.Contains(body, "'"+word+"'") {
				t.Errorf("%s: it never answers %s", s.Name, word)
			}
		}
		if strings.Contains(body, "measure(") != strings.Contains(head["ERRORS"], "WRONGKEY") || strings.Contains(body, "error_reply(") != strings.Contains(head["ERRORS"], "OOM") {
			t.Errorf("%s: ERRORS %q", s.Name, head["ERRORS"])
		}
	}
}
