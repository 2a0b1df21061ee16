package matrix

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/brokertest"
	"github.com/tidemill/tidemill/internal/redistest"
)

// fence is a hook that lets each call at the keys it declares, and no others: the server checks a script's own commands
// against the user's rights too.
type fence struct {
	t      *testing.T
	admin  *redis.Client
	fenced int
}

func (f *fence) DialHook(next redis.DialHook) redis.DialHook { return next }

func (f *fence) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		f.allow(cmd)
		return next(ctx, cmd)
	}
}

func (f *fence) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		f.allow(cmds...)
		return next(ctx, cmds)
	}
}

// allow narrows the user's keys to those that the scripts' calls declare; where none is called any may be used.
func (f *fence) allow(cmds ...redis.Cmder) {
	rights, scripts := []any{"ACL", "SETUSER", "narrow", "resetkeys"}, false
	for _, cmd := range cmds {
		args := cmd.Args()
		if cmd.Name() == "hello" { // a call under way, whose rights are set already, opens a connection
			return
		}
		if !strings.HasPrefix(strings.ToUpper(fmt.Sprint(args[0])), "EVAL") {
			continue
		}
		scripts = true
		f.fenced++
		n := args[2].(int)
		for _, key := range args[3 : 3+n] {
			rights = append(rights, "~"+fmt.Sprint(key))
		}
	}
	if !scripts {
		rights = append(rights, "~*")
	}
	if err := f.admin.Do(context.Background(), rights...).Err(); err != nil {
		f.t.Errorf("%v: %v", rights, err)
	}
}

// Every script, called in every way that the broker has, touches the keys that its call declares and no others: in a
// Cluster the rest could be elsewhere.
func TestScriptsTouchDeclaredKeysOnly(t *testing.T) {
	r := onServer(t, redistest.WithConfig("user narrow on >pw ~* &* +@all"))
	f := &fence{t: t, admin: r.rdb}
	rdb := redistest.Client(t, r.srv, func(o *redis.Options) { o.Username, o.Password = "narrow", "pw" })
	rdb.AddHook(f)
	for key, refused := range map[string]bool{"tm:{q}:a": false, "tm:{q}:b": true} {
		err := rdb.Eval(r.ctx, "return redis.call('SET', '"+key+"', 'x')", []string{"tm:{q}:a"}).Err()
		if (err != nil) != refused {
			t.Fatalf("%s: %v; the fence shows nothing", key, err)
		}
	}
	r.must(r.rdb.FlushAll(r.ctx).Err())
	brokertest.Tour(t, rdb, "ns", func() {})
	if f.fenced < 50 {
		t.Errorf("only %d calls of scripts", f.fenced)
	}
}
