package queue_test

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// fillScript makes ready jobs without a producer's work. What it writes is what enqueue.lua would.
var fillScript = redis.NewScript(`
local jobs, list = {}, {}
for i = tonumber(ARGV[1]), tonumber(ARGV[2]) do
  local id = string.format('tidemill%08d', i)
  jobs[#jobs + 1], jobs[#jobs + 2] = id, ARGV[3]
  list[#list + 1] = id
  if #list == 1000 then
    redis.call('HSET', KEYS[1], unpack(jobs))
    redis.call('RPUSH', KEYS[2], unpack(list))
    jobs, list = {}, {}
  end
end
return 1`)

// TestListManyHoldsNobodyUp: no page of a million ready jobs keeps Redis from others for more than 5 ms.
func TestListManyHoldsNobodyUp(t *testing.T) {
	const jobs, cancelled = 1_000_000, 10_000
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		ctx := t.Context()
		c, rdb := open(t, srv.URL()), redistest.Client(t, srv)
		enqueue(t, c, queue.Raw{Name: "some.kind", Payload: []byte(`{"url":"https://example.org/a.png","width":640}`)}, queue.Queue("q"), queue.ID("first"))
		first := byName(t, c, "first")
		envelope := rdb.HGet(ctx, "tm:{q}:jobs", string(first.ID[:])).Val()
		for i := 1; i < jobs; i += 10_000 {
			if err := fillScript.Run(ctx, rdb, []string{"tm:{q}:jobs", "tm:{q}:ready:0"}, i, i+9_999, envelope).Err(); err != nil {
				t.Fatal(err)
			}
		}
		if err := rdb.ConfigSet(ctx, "slowlog-log-slower-than", "5000").Err(); err != nil {
			t.Fatal(err)
		}
		slow := func() int64 {
			n, err := rdb.Do(ctx, "SLOWLOG", "LEN").Int64()
			if err != nil {
				t.Fatal(err)
			}
			rdb.Do(ctx, "SLOWLOG", "RESET")
			return n
		}
		slow()
		begin, n, pause, sample := time.Now(), 0, 0, ""
		for _, at := range []int{0, jobs / 4, jobs / 2, 3 * jobs / 4, jobs - 5000} {
			o := queue.ListOptions{State: queue.Ready, Limit: 5000}
			if at > 0 {
				o.Cursor = placeBehind(sample, jobs, at)
			}
			page := o.Cursor
			for s, err := range c.List(ctx, "q", o) {
				if err != nil {
					t.Fatal(err)
				}
				if n++; n == 1 {
					t.Logf("the first row came after %v", time.Since(begin))
					sample = s.Cursor
				}
				if n%100 != 0 {
					continue
				}
				if slow() > 0 {
					// Redis counts the time in which other processes had its CPU. A page that is slow by itself is slow each time.
					pause++
					again(t, c, page, slow)
				}
				page = s.Cursor
			}
		}
		if n != 25_000 {
			t.Errorf("%d jobs listed", n)
		}
		t.Logf("%d of %d jobs in %v, %d pages took more than 5 ms of wall time once", n, jobs, time.Since(begin), pause)
		begin = time.Now()
		r, err := c.CancelMany(ctx, "q", queue.Bulk{ListOptions: queue.ListOptions{State: queue.Ready, Limit: cancelled}})
		if err != nil || r.Done != cancelled {
			t.Errorf("%+v, %v", r, err)
		}
		t.Logf("%d cancelled in %v", r.Done, time.Since(begin))
	})
}

// placeBehind makes the cursor of a job far down the list out of another's: how far from its end it is, what it is, and how many
// follow.
func placeBehind(sample string, jobs, i int) string {
	parts := strings.Split(sample, ".")
	parts[3], parts[4], parts[5] = strconv.Itoa(jobs-i+1), hex.EncodeToString(fmt.Appendf(nil, "tidemill%08d", i)), strconv.Itoa(jobs-i)
	return strings.Join(parts, ".")
}

// again reads the page behind a cursor until a try is not slow.
func again(t *testing.T, c *queue.Client, cursor string, slow func() int64) {
	t.Helper()
	for range 20 {
		for _, err := range c.List(t.Context(), "q", queue.ListOptions{State: queue.Ready, Cursor: cursor, Limit: 100}) {
			if err != nil {
				t.Fatal(err)
			}
		}
		if slow() == 0 {
			return
		}
	}
	t.Errorf("the page behind %q takes more than 5 ms every time", cursor)
}
