package brokertest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/wire"
)

func (e *env) equal(what string, got, want any) {
	e.Helper()
	if g := reflect.ValueOf(got); g.Kind() == reflect.Slice && g.Len() == 0 && (want == nil || reflect.ValueOf(want).Len() == 0) {
		return // nil and empty say the same
	}
	if !reflect.DeepEqual(got, want) {
		e.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

// fails holds an error against the one wanted, which callers tell apart with errors.Is.
func (e *env) fails(err, want error) {
	e.Helper()
	if !errors.Is(err, want) {
		e.Fatalf("error %v, want %v", err, want)
	}
}

// claimed holds the claimed jobs against ids, and their envelopes against their ids.
func (e *env) claimed(jobs []broker.Claimed, want ...uuid.UUID) {
	e.Helper()
	var got []uuid.UUID
	for i := range jobs {
		got = append(got, jobs[i].ID)
		if i > 0 && jobs[i].Token != jobs[i-1].Token+1 {
			e.Fatalf("tokens %d and %d of one batch", jobs[i-1].Token, jobs[i].Token)
		}
	}
	e.equal("claimed", got, want)
}

// state holds where a job is against want, and answers what is known about it.
func (e *env) state(n int, want broker.State) broker.Found {
	e.Helper()
	f, err := e.b.Get(e.ctx, e.q, id(n))
	e.must(err)
	if f.State != want {
		e.Fatalf("job %d is %s, want %s", n, f.State, want)
	}
	return f
}

// record is a job's state record.
func (e *env) record(n int) wire.State {
	e.Helper()
	raw, err := e.rdb.HGet(e.ctx, e.q.Key(keys.State), sid(n)).Result()
	if err == redis.Nil {
		return wire.State{}
	}
	e.must(err)
	var s wire.State
	e.must(s.Decode([]byte(raw)))
	return s
}

func sid(n int) string {
	raw := id(n)
	return string(raw[:])
}

// counts holds ready, scheduled, running, dead and finished against want.
func (e *env) counts(want ...int64) broker.Counts {
	e.Helper()
	c, err := e.b.Counts(e.ctx, e.q)
	e.must(err)
	e.equal("ready, scheduled, running, dead, finished", []int64{c.Ready, c.Scheduled, c.Running, c.Dead, c.Finished}, want)
	return c
}

// total holds one counter of the queue against want.
func (e *env) total(name string, want int64) {
	e.Helper()
	c, err := e.b.Counts(e.ctx, e.q)
	e.must(err)
	got, known := c.Totals[name]
	if !known || got != want {
		e.Fatalf("total of %s is %d, want %d", name, got, want)
	}
}

// meta is a field of the queue's meta.
func (e *env) meta(field string) string {
	e.Helper()
	v, err := e.rdb.HGet(e.ctx, e.q.Key(keys.Meta), field).Result()
	if err != redis.Nil {
		e.must(err)
	}
	return v
}

// length is the length of a list.
func (e *env) length(place int) int64 {
	e.Helper()
	n, err := e.rdb.LLen(e.ctx, e.q.Key(place)).Result()
	e.must(err)
	return n
}

// names lists the keys of the case.
func (e *env) names() []string {
	e.Helper()
	var mu sync.Mutex
	var out []string
	scan := func(ctx context.Context, rdb redis.Cmdable) error {
		mu.Lock()
		defer mu.Unlock()
		cursor := uint64(0)
		for {
			page, next, err := rdb.Scan(ctx, cursor, e.space.Name()+":*", 1000).Result()
			if err != nil {
				return err
			}
			out = append(out, page...)
			if cursor = next; cursor == 0 {
				return nil
			}
		}
	}
	if cluster, ok := e.rdb.(*redis.ClusterClient); ok {
		e.must(cluster.ForEachMaster(e.ctx, func(ctx context.Context, node *redis.Client) error { return scan(ctx, node) }))
	} else {
		e.must(scan(e.ctx, e.rdb))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// dump is everything that the case has in Redis.
func (e *env) dump() map[string]string {
	e.Helper()
	out := make(map[string]string)
	for _, key := range e.names() {
		kind, err := e.rdb.Type(e.ctx, key).Result()
		e.must(err)
		switch kind {
		case "hash":
			all, err := e.rdb.HGetAll(e.ctx, key).Result()
			e.must(err)
			var lines []string
			for field, value := range maps.All(all) {
				lines = append(lines, fmt.Sprintf("%q=%q", field, value))
			}
			slices.Sort(lines)
			out[key] = strings.Join(lines, " ")
		case "list":
			all, err := e.rdb.LRange(e.ctx, key, 0, -1).Result()
			e.must(err)
			out[key] = fmt.Sprintf("%q", all)
		case "zset":
			all, err := e.rdb.ZRangeWithScores(e.ctx, key, 0, -1).Result()
			e.must(err)
			out[key] = fmt.Sprintf("%q", fmt.Sprint(all))
		default:
			out[key] = kind
		}
	}
	return out
}

// unchanged fails when anything in Redis differs from before.
func (e *env) unchanged(before map[string]string) {
	e.Helper()
	after := e.dump()
	for key := range maps.Keys(before) {
		if after[key] != before[key] {
			e.Errorf("%s was %s and is %s", key, before[key], after[key])
		}
	}
	for key := range maps.Keys(after) {
		if _, known := before[key]; !known {
			e.Errorf("%s is new: %s", key, after[key])
		}
	}
	if e.Failed() {
		e.FailNow()
	}
}
