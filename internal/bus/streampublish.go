package bus

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/keys"
)

// Retention says what a stream keeps; zero values bound nothing.
type Retention struct {
	Count int64
	Age   time.Duration
}

// text is its form in Redis, which the scripts read.
func (r Retention) text() string {
	var parts []string
	if r.Count > 0 {
		parts = append(parts, "MAXLEN "+strconv.FormatInt(r.Count, 10))
	}
	if r.Age > 0 {
		parts = append(parts, "MINID "+strconv.FormatInt(max(r.Age.Milliseconds(), 1), 10))
	}
	return strings.Join(parts, " ")
}

func parseRetention(text string) (r Retention) {
	fields := strings.Fields(text)
	for i := 0; i+1 < len(fields); i += 2 {
		n, _ := strconv.ParseInt(fields[i+1], 10, 64)
		if fields[i] == "MAXLEN" {
			r.Count = n
		} else {
			r.Age = time.Duration(n) * time.Millisecond
		}
	}
	return r
}

// Publication is how a batch is published.
type Publication struct {
	Sharded  bool
	Keep     *Retention // nil: as it was set last
	Anywhere bool       // where the topic has no stream, to its channel only
}

// Publish adds a batch to the topic's stream and sends it to those who listen to the topic's channel, all or, where Redis is
// full (conn.ErrFull), nothing. Made says that there was no stream before. Where the reply was lost the error is ErrMaybe too.
func (s *Streams) Publish(ctx context.Context, topic *keys.Topic, p Publication, messages [][]byte) (made bool, err error) {
	r, err := s.call(ctx, publishScript, publishCall(topic, p, messages))
	if err == nil {
		r.Array()
		r.Number()
		r.Skip()
		return r.Number() == 1, nil
	}
	var reply redis.Error
	if errors.As(err, &reply) {
		return false, streamError(err)
	}
	return false, explain(err, false, false)
}

func publishCall(topic *keys.Topic, p Publication, messages [][]byte) []any {
	args := scriptCall(publishScript, 5+len(messages), topic.Stream(), topic.About())
	publish, keep, missing := "PUBLISH", "-", "make"
	if p.Sharded {
		publish = "SPUBLISH"
	}
	if p.Keep != nil {
		keep = p.Keep.text()
	}
	if p.Anywhere {
		missing = "leave"
	}
	args = append(args, publish, topic.Name(), topic.Hints(), keep, missing)
	for _, m := range messages {
		args = append(args, m)
	}
	return args
}
