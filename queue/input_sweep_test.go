package queue_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/redistest"
)

// The sweep of a worker leaves an input's place for the 7 days that are promised.
func TestInputOutlivesTheSweep(t *testing.T) {
	srv := redistest.Server(t)
	c, rdb := open(t, srv.URL()), redistest.Client(t, srv)
	id := uuid.New()
	places, items := numbered(1, 4)
	if _, err := input(t, c, id, 1, nil).EnqueueMany(t.Context(), places, items); err != nil {
		t.Fatal(err)
	}
	age := func(by time.Duration) (known bool) {
		const key = "tm:{default}:producers"
		for field, record := range rdb.HGetAll(t.Context(), key).Val() {
			words := strings.SplitN(record, " ", 3)
			rdb.HSet(t.Context(), key, field, fmt.Sprintf("%s %d %s", words[0], time.Now().Add(-by).UnixMilli(), words[2]))
		}
		e := c.Engine()
		q, err := e.Space.Queue("default")
		if err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := e.Broker.Sweep(t.Context(), q, "0"); err != nil {
			t.Fatal(err)
		}
		_, known, err = input(t, c, id, 2, nil).Resume(t.Context(), "default")
		if err != nil {
			t.Fatal(err)
		}
		return known
	}
	if !age(6 * 24 * time.Hour) {
		t.Error("gone after 6 days")
	}
	if age(8 * 24 * time.Hour) {
		t.Error("still there after 8 days")
	}
}
