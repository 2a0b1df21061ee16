//go:build unix

package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/queue"
)

// look fills in an Ending by the product's own listing, and by the bare keys.
func (e *Ending) look(ctx context.Context, client *queue.Client, rdb *redis.Client) error {
	e.Counters, e.Places = make(map[string]map[string]int64), make(map[string][]string)
	space, err := keys.NewSpace("")
	if err != nil {
		return err
	}
	for _, name := range queues {
		if err := e.list(ctx, client, rdb, name); err != nil {
			return err
		}
		q, err := space.Queue(name)
		if err != nil {
			return err
		}
		if err := e.audit(ctx, rdb, q); err != nil {
			return err
		}
	}
	return nil
}

// list reads every job of a queue. Listings are without results, so those are read beside.
func (e *Ending) list(ctx context.Context, client *queue.Client, rdb *redis.Client, name string) error {
	tokens, err := rdb.HGetAll(ctx, "tm:{"+name+"}:results").Result()
	if err != nil {
		return err
	}
	for s, err := range client.List(ctx, name, queue.ListOptions{}) {
		if err != nil {
			return err
		}
		var args Args
		if err := json.Unmarshal(s.Payload, &args); err != nil {
			return fmt.Errorf("job %s: %w", s.ID, err)
		}
		seen := Seen{Queue: name, ID: s.ID.String(), Name: args.Name, State: string(s.State), Crashed: strings.HasPrefix(s.Reason, "crashed")}
		seen.Token, _ = strconv.ParseInt(tokens[string(s.ID[:])], 10, 64) // 0 where it has none
		e.Seen = append(e.Seen, seen)
	}
	return nil
}

// audit reads a queue's keys, without any of the product's code: which ids are stored, and in which places.
func (e *Ending) audit(ctx context.Context, rdb *redis.Client, q *keys.Queue) error {
	envelopes, err := rdb.HGetAll(ctx, q.Key(keys.Jobs)).Result()
	if err != nil {
		return err
	}
	records, err := rdb.HGetAll(ctx, q.Key(keys.State)).Result()
	if err != nil {
		return err
	}
	for raw, envelope := range envelopes {
		if len(envelope) > 2 { // else it is a tombstone
			e.Places[named(q, raw)] = nil
		}
	}
	lists := []string{q.Key(keys.Suspect)}
	for p := range 10 {
		lists = append(lists, q.Key(keys.Ready+p))
	}
	for _, key := range lists {
		entries, err := rdb.LRange(ctx, key, 0, -1).Result()
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if !stale(entry, envelopes, records) {
				e.Places[named(q, entry[:16])] = append(e.Places[named(q, entry[:16])], key)
			}
		}
	}
	sets, err := rdb.Keys(ctx, q.Running("*")).Result()
	if err != nil {
		return err
	}
	for _, key := range append(sets, q.Key(keys.Scheduled), q.Key(keys.Dead), q.Key(keys.Finished)) {
		members, err := rdb.ZRange(ctx, key, 0, -1).Result()
		if err != nil {
			return err
		}
		for _, raw := range members {
			e.Places[named(q, raw)] = append(e.Places[named(q, raw)], key)
		}
	}
	counters, err := rdb.HGetAll(ctx, q.Key(keys.Meta)).Result()
	e.Counters[q.Name()] = make(map[string]int64)
	for _, word := range []string{"enqueued", "succeeded", "cancelled", "expired", "deleted", "recovered", "refused"} {
		e.Counters[q.Name()][word], _ = strconv.ParseInt(counters[word], 10, 64) // none is 0
	}
	return err
}

func named(q *keys.Queue, raw string) string {
	id, err := uuid.FromBytes([]byte(raw))
	if err != nil {
		return fmt.Sprintf("%s/%q", q.Name(), raw)
	}
	return q.Name() + "/" + id.String()
}

// stale tells whether a list's entry is: its job is gone, or has moved since.
func stale(entry string, envelopes, records map[string]string) bool {
	id := entry[:min(16, len(entry))]
	if len(envelopes[id]) <= 2 {
		return true
	}
	generation, listed := byte(0), byte(0)
	if record := records[id]; len(record) > 2 {
		generation = record[2]
	}
	if len(entry) > 16 {
		listed = entry[16]
	}
	return generation != listed
}

// mayRemain ends the keys that a queue and the namespace keep when no job is left, and a poke of a worker that has gone,
// which expires.
var mayRemain = regexp.MustCompile(`^tm:(queues|workers|orders|settings|\{\w+\}:(meta|producers|wake|due|poke:.*))$`)

// clear purges what is kept and names the keys that remain and should not.
func (e *Ending) clear(ctx context.Context, client *queue.Client, rdb *redis.Client) error {
	for _, name := range queues {
		for _, state := range []queue.State{queue.Finished, queue.DeadState, queue.Scheduled, queue.Ready} {
			if _, err := client.Purge(ctx, name, state, nil); err != nil {
				return err
			}
		}
	}
	left, err := rdb.Keys(ctx, "*").Result()
	slices.Sort(left)
	for _, key := range left {
		if !mayRemain.MatchString(key) {
			e.Leftover = append(e.Leftover, key)
		}
	}
	return err
}
