package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// maxBody is the largest payload taken, in bytes.
const maxBody = 1 << 20

// verify answers the body of a request whose signature is right, and not older than 5 minutes. secret is "whsec_" and
// base64. The body is verified as it came: decode it afterwards.
func verify(secret string, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxBody {
		return nil, errors.New("the body is too long")
	}
	webhook, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return nil, err
	}
	return body, webhook.Verify(body, r.Header)
}

// receiver is the HTTP handler, with the moods of the real world.
type receiver struct {
	settings
	secret string
	done   *effects
	bucket *bucket
	counts struct {
		requests, done, repeated, failed, lost, limited, slow, refused atomic.Int64
	}
}

func newReceiver(secret []byte, done *effects, s settings) (*receiver, error) {
	if s.rate < 1 {
		return nil, fmt.Errorf("-rate %d; allowed: 1 or more", s.rate)
	}
	for name, share := range map[string]float64{"fail": s.fail, "lose": s.lose, "slow": s.slow} {
		if !(share >= 0 && share <= 1) {
			return nil, fmt.Errorf("-%s %v; allowed: 0 to 1", name, share)
		}
	}
	r := &receiver{settings: s, secret: string(bytes.TrimSpace(secret)), done: done, bucket: newBucket(s.rate)}
	if _, err := standardwebhooks.NewWebhook(r.secret); err != nil || r.secret == "" {
		return nil, fmt.Errorf("%s holds no secret; make one with: echo whsec_$(openssl rand -base64 32)", s.secretFile)
	}
	return r, nil
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	r.counts.requests.Add(1)
	if !r.bucket.take(time.Now()) {
		r.counts.limited.Add(1)
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many requests", http.StatusTooManyRequests)
		return
	}
	body, err := verify(r.secret, request)
	if err != nil {
		r.counts.refused.Add(1)
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	if rand.Float64() < r.slow {
		r.counts.slow.Add(1)
		if !wait(request, 50*time.Millisecond+rand.N(250*time.Millisecond)) {
			return // the sender left
		}
	}
	if rand.Float64() < r.fail {
		r.counts.failed.Add(1)
		http.Error(w, "the database is on holiday", http.StatusInternalServerError)
		return
	}
	r.work(w, request.Header.Get("Idempotency-Key"), body)
}

// work does what the job is about, unless it was done before: the sender may not know.
func (r *receiver) work(w http.ResponseWriter, key string, body []byte) {
	first, err := r.done.once(key, strings.ReplaceAll(string(body), "\n", " "))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if first {
		r.counts.done.Add(1)
	} else {
		r.counts.repeated.Add(1)
	}
	if rand.Float64() < r.lose {
		r.counts.lost.Add(1)
		panic(http.ErrAbortHandler) // cuts the connection
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, "{\"first\":%v}\n", first)
}

// wait takes its time, or is ended by the sender.
func wait(request *http.Request, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-request.Context().Done():
		return false
	}
}

// summary is the table of what came.
func (r *receiver) summary() string {
	c, b := &r.counts, strings.Builder{}
	for _, row := range []struct {
		name  string
		count *atomic.Int64
		text  string
	}{
		{"requests", &c.requests, "all that came"},
		{"done", &c.done, "a new Idempotency-Key: the work was done, once"},
		{"repeated", &c.repeated, "a key seen before: nothing to do, answered 200"},
		{"failed", &c.failed, "answered 500 before the work"},
		{"lost", &c.lost, "the connection was cut after the work, before the answer"},
		{"limited", &c.limited, "answered 429 with Retry-After: 1"},
		{"slow", &c.slow, "took 50 to 300 ms"},
		{"refused", &c.refused, "answered 401: no valid signature"},
	} {
		fmt.Fprintf(&b, "%-10s %8d   %s\n", row.name, row.count.Load(), row.text)
	}
	return b.String()
}
