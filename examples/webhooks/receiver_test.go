package main

import (
	"io"
	"log"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// receive starts a receiver of certain moods.
func receive(t *testing.T, s settings) (*receiver, *httptest.Server) {
	t.Helper()
	done, err := openEffects(t.TempDir() + "/effects")
	if err != nil {
		t.Fatal(err)
	}
	s.rate = max(s.rate, 1000)
	r, err := newReceiver([]byte(secret+"\n"), done, s)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(r)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.Start()
	t.Cleanup(func() { srv.Close(); done.Close() })
	return r, srv
}

// post sends a job as the worker does, its signature that of body unless another is given.
func post(t *testing.T, srv *httptest.Server, key, body, signedBody string) (*http.Response, error) {
	t.Helper()
	webhook, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	signature, err := webhook.Sign(key, now, []byte(signedBody))
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequest(http.MethodPost, srv.URL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Webhook-Id", key)
	request.Header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	request.Header.Set("Webhook-Signature", signature)
	request.Header.Set("Idempotency-Key", key)
	request.Close = true // the client must not send it again by itself
	return srv.Client().Do(request)
}

func TestReceiver(t *testing.T) {
	r, srv := receive(t, settings{slow: 1})
	for i, c := range []struct {
		key, body, signed string
		code              int
		answer            string
	}{
		{"a", "1", "1", 200, "{\"first\":true}\n"},
		{"a", "1", "1", 200, "{\"first\":false}\n"},
		{"b", "2", "1", 401, "unable to verify payload, err: no matching signature found\n"},
		{"b", "2", "2", 200, "{\"first\":true}\n"},
		{"c", strings.Repeat("x", maxBody+1), "", 401, "the body is too long\n"},
	} {
		response, err := post(t, srv, c.key, c.body, c.signed)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != c.code || string(answer) != c.answer {
			t.Errorf("%d: %v, %d %q, want %d %q", i, err, response.StatusCode, answer, c.code, c.answer)
		}
	}
	for row, want := range map[string]int{"requests": 5, "done": 2, "repeated": 1, "refused": 2, "slow": 3, "limited": 0} {
		if got := count(t, r.summary(), row); got != want {
			t.Errorf("%s: %d, want %d", row, got, want)
		}
	}
}

// has tells whether the work of a key is done.
func (e *effects) has(key string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.seen[key]
}

// TestMoods: failing is before the work, losing the answer is after it.
func TestMoods(t *testing.T) {
	r, srv := receive(t, settings{fail: 1})
	if response, err := post(t, srv, "a", "1", "1"); err != nil || response.StatusCode != 500 || r.done.has("a") {
		t.Errorf("failing: %v, %+v, done is %v", err, response, r.done.has("a"))
	}
	r, srv = receive(t, settings{lose: 1})
	if response, err := post(t, srv, "a", "1", "1"); err == nil || !r.done.has("a") {
		t.Errorf("losing: %v, %+v, done is %v", err, response, r.done.has("a"))
	}
	r, srv = receive(t, settings{})
	r.bucket = newBucket(1)
	r.bucket.left, r.bucket.at = 0, time.Now().Add(time.Hour)
	if response, err := post(t, srv, "a", "1", "1"); err != nil || response.StatusCode != 429 || response.Header.Get("Retry-After") != "1" {
		t.Errorf("limiting: %v, %+v", err, response)
	}
}

func TestBadFlags(t *testing.T) {
	for want, s := range map[string]settings{
		"-rate 0; allowed: 1 or more": {}, "-fail 1.5; allowed: 0 to 1": {rate: 1, fail: 1.5},
		"-lose NaN; allowed: 0 to 1": {rate: 1, lose: math.NaN()}, "-slow -1; allowed: 0 to 1": {rate: 1, slow: -1},
	} {
		if _, err := newReceiver([]byte(secret), nil, s); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestNoSecret(t *testing.T) {
	for _, text := range []string{"", "\n", "whsec_%%"} {
		if _, err := newReceiver([]byte(text), nil, settings{rate: 1, secretFile: "f"}); err == nil || !strings.HasPrefix(err.Error(), "f holds no secret") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
