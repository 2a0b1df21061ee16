package queue_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// appUser is a server, and a user of it whose rights change.
type appUser struct {
	*testing.T
	admin *redis.Client
	url   string // of the user
}

// allow gives the user these rights, on top of others: what a rule takes away counts as well.
func (a *appUser) allow(rules []string) {
	a.Helper()
	for _, words := range [][]string{{"reset", "on", ">secret", "~elsewhere", "&elsewhere", "+@all"}, rules} {
		args := []any{"ACL", "SETUSER", "app"}
		for _, word := range words {
			args = append(args, word)
		}
		if err := a.admin.Do(a.Context(), args...).Err(); err != nil {
			a.Fatal(err)
		}
	}
	if err := a.admin.Do(a.Context(), "ACL", "LOG", "RESET").Err(); err != nil {
		a.Fatal(err)
	}
}

// refused is what the server refused the user since: commands, keys and channels.
func (a *appUser) refused() (objects []string) {
	a.Helper()
	entries, err := a.admin.ACLLog(a.Context(), 100).Result()
	if err != nil {
		a.Fatal(err)
	}
	for _, e := range entries {
		if e.Username == "app" {
			objects = append(objects, e.Reason+" "+e.Object)
		}
	}
	return objects
}

// logLines is a log that is written from several goroutines.
type logLines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// tour uses everything once. It ends with the first error; what was only logged as a warning is answered too.
func (a *appUser) tour() (told string, err error) {
	a.Helper()
	logs := &logLines{}
	c, err := queue.Open(a.Context(), a.url, queue.Config{Logger: zerolog.New(logs).Level(zerolog.WarnLevel)})
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	for _, step := range []func(*queue.Client) error{a.produce, a.operate, a.serve} {
		if err := step(c); err != nil {
			return logs.String(), err
		}
	}
	return logs.String(), nil
}

// produce enqueues in every way.
func (a *appUser) produce(c *queue.Client) error {
	ctx, pipe := a.Context(), c.Redis().TxPipeline()
	if _, err := c.Enqueue(ctx, email{"x"}); err != nil {
		return err
	}
	if _, err := c.Enqueue(ctx, email{"x"}, queue.In(time.Hour), queue.Durable(queue.Durability{Replicas: 1, Timeout: time.Millisecond})); !errors.Is(err, queue.ErrNotConfirmed) {
		return fmt.Errorf("durable: %w", err)
	}
	if _, err := c.EnqueueMany(ctx, queue.Items(make([]email, 10))); err != nil {
		return err
	}
	pending, err := c.EnqueueTx(ctx, pipe, email{"x"})
	if err != nil {
		return err
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	if err := pending.Result(); err != nil {
		return err
	}
	if err := c.Watch(ctx, func(*redis.Tx) error { return nil }, "tm:{default}:mine"); err != nil {
		return err
	}
	in, err := c.Input(uuid.New(), 1, nil)
	if err != nil {
		return err
	}
	places, items := numbered(1, 10)
	_, err = in.EnqueueMany(ctx, places, items)
	return err
}

// operate does what operators do.
func (a *appUser) operate(c *queue.Client) error {
	ctx := a.Context()
	for s, err := range c.List(ctx, "default", queue.ListOptions{State: queue.Ready, Limit: 3}) {
		if err != nil {
			return err
		}
		if _, err := c.Get(ctx, "default", s.ID.String()); err != nil {
			return err
		}
		if _, err := c.Cancel(ctx, "default", s.ID.String()); err != nil {
			return err
		}
	}
	_, err1 := c.Counts(ctx, "default")
	_, err2 := c.Queues(ctx)
	_, err3 := c.Pause(ctx, "default")
	_, err4 := c.Resume(ctx, "default")
	_, err5 := c.Purge(ctx, "default", queue.Scheduled, nil)
	_, err6 := c.Workers(ctx)
	_, err7 := c.RedriveMany(ctx, "default", queue.Bulk{})
	return errors.Join(err1, err2, err3, err4, err5, err6, err7)
}

// serve runs a worker, and waits for a job.
func (a *appUser) serve(c *queue.Client) error {
	mux := worker.NewMux()
	worker.Handle(mux, func(context.Context, *queue.Job[email]) error { return nil })
	w, err := worker.New(c, mux, worker.Config{Queues: []worker.Queue{{Name: "default"}}})
	if err != nil {
		return err
	}
	ctx, end := context.WithTimeout(a.Context(), 30*time.Second)
	defer end()
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	id, err := c.Enqueue(ctx, email{"last"}, queue.Notify(), queue.Retain(time.Minute))
	if err == nil {
		_, err = c.Wait(ctx, "default", id.String())
	}
	end()
	return errors.Join(err, <-done)
}

// needs runs the tour without one of the rules. What it grants must be missed, and the user told.
func (a *appUser) needs(rules []string, token string) {
	a.Helper()
	a.allow(slices.DeleteFunc(slices.Clone(rules), func(rule string) bool { return rule == token }))
	told, err := a.tour()
	if refused := a.refused(); len(refused) == 0 {
		a.Errorf("without %s nothing was refused: %v %s", token, err, told)
	}
	if err == nil && told == "" && token != "+role" { // INFO says that too, and nothing is missed
		a.Errorf("without %s %q were refused, and nobody was told", token, a.refused())
	}
}

// The rules that docs/topologies.md shows are enough for everything, and each of them is needed: what one grants is missed
// without it, and what one takes away is there without it.
func TestPermissions(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	a := &appUser{t, redistest.Client(t, srv), "redis://app:secret@" + srv.Addr()}
	rules := strings.Fields(redistest.Permissions)
	a.allow(rules)
	if told, err := a.tour(); err != nil || told != "" {
		t.Errorf("with all rules: %v %s", err, told)
	}
	if refused := a.refused(); len(refused) > 0 {
		t.Errorf("with all rules there were refused %q", refused)
	}
	outside := map[string][]any{
		"resetkeys": {"GET", "elsewhere"}, "resetchannels": {"PUBLISH", "elsewhere", "x"}, "-@all": {"SCRIPT", "EXISTS", "x"}, "-@dangerous": {"KEYS", "tm:*"},
	}
	asUser := func(command []any) error {
		rdb := redistest.Client(t, srv, func(o *redis.Options) { o.Username, o.Password = "app", "secret" })
		return rdb.Do(t.Context(), command...).Err()
	}
	for _, rule := range rules {
		command, takes := outside[rule]
		switch {
		case takes:
			if err := asUser(command); err == nil || !strings.HasPrefix(err.Error(), "NOPERM") {
				t.Errorf("with all rules %v: %v", command, err)
			}
			a.allow(slices.DeleteFunc(slices.Clone(rules), func(other string) bool { return other == rule }))
			if err := asUser(command); err != nil && !errors.Is(err, redis.Nil) {
				t.Errorf("without %s %v is refused all the same: %v", rule, command, err)
			}
			a.allow(rules)
		case !strings.HasPrefix(rule, "+cluster|"):
			a.needs(rules, rule)
			a.allow(rules)
		}
	}
}

// The same of what only a Cluster needs.
func TestPermissionsInCluster(t *testing.T) {
	t.Parallel()
	x := redistest.NewCluster(t, 1, false)
	a := &appUser{t, redistest.Client(t, x.Primaries[0]), strings.Replace(x.URL(t), "://", "://app:secret@", 1)}
	rules := strings.Fields(redistest.Permissions)
	a.allow(rules)
	if told, err := a.tour(); err != nil || told != "" {
		t.Errorf("with all rules: %v %s", err, told)
	}
	if refused := a.refused(); len(refused) > 0 {
		t.Errorf("with all rules there were refused %q", refused)
	}
	a.needs(rules, "+cluster|slots")
	// A plain URL of a node asks which part of the slots it has.
	a.url = strings.Replace(a.url, "redis+cluster", "redis", 1)
	a.needs(rules, "+cluster|myid")
}
