package webhook

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// TestSignatureOfTheStandard holds a signature against the example of the standard's own libraries.
func TestSignatureOfTheStandard(t *testing.T) {
	var faults Faults
	s := newSigner([]byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), &faults)
	header := http.Header{}
	s.sign(header, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if got, want := header.Get("webhook-signature"), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want || faults != nil {
		t.Errorf("signature %q, want %q (%v)", got, want, faults)
	}
}

// TestVerify lets the standard's library verify what a receiver got.
func TestVerify(t *testing.T) {
	raw := base64.StdEncoding.EncodeToString([]byte("any text is a key"))
	for name, c := range map[string]struct {
		secret string
		keys   []string // each verifies, in the library's form
	}{
		"whsec":          {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}},
		"unpadded":       {"whsec_YWJj" + "ZA", []string{"whsec_YWJjZA=="}},
		"a line":         {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\r\n", []string{"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}},
		"raw":            {"any-text-is-a-key", []string{base64.StdEncoding.EncodeToString([]byte("any-text-is-a-key"))}},
		"binary":         {"\x00\x01\xff\xfe", []string{"AAH//g=="}},
		"changing to it": {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\nold whsec_bmV3", []string{"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", base64.StdEncoding.EncodeToString([]byte("old")), "bmV3"}},
	} {
		srv, got := record(t, nil)
		job := newJob()
		if err := handle(t, newTest(t, Config{URL: srv.URL, Secret: []byte(c.secret)}), job); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		r := <-got
		if r.Header.Get("webhook-id") != job.ID.String() || strings.Count(r.Header.Get("webhook-signature"), "v1,") != len(c.keys) {
			t.Errorf("%s: headers %v", name, r.Header)
		}
		for i, key := range append(c.keys, raw) {
			wh, err := standardwebhooks.NewWebhook(key)
			if err != nil {
				t.Fatal(err)
			}
			err = wh.Verify(r.body, r.Header)
			if wrong := i == len(c.keys); wrong != (err != nil) {
				t.Errorf("%s: key %d: %v", name, i, err)
			}
			if wh.Verify(append(r.body, ' '), r.Header) == nil {
				t.Errorf("%s: key %d verifies another body", name, i)
			}
		}
	}
}

func TestUnsigned(t *testing.T) {
	srv, got := record(t, nil)
	if err := handle(t, newTest(t, Config{URL: srv.URL}), newJob()); err != nil {
		t.Fatal(err)
	}
	for name := range (<-got).Header {
		if strings.HasPrefix(name, "Webhook-") {
			t.Errorf("%s is sent without a secret", name)
		}
	}
}
