package webhook

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Names of the Standard Webhooks headers.
const (
	headerID        = "Webhook-Id"
	headerTimestamp = "Webhook-Timestamp"
	headerSignature = "Webhook-Signature"
)

// maxSecrets bounds the signatures of a request: two are enough to change a secret.
const maxSecrets = 8

// secretPrefix marks a secret that is base64.
const secretPrefix = "whsec_"

// signer signs requests with each of its keys.
type signer struct{ keys [][]byte }

// newSigner reads the secrets of a Config. Faults tell their place and length, never their text.
func newSigner(secret []byte, faults *Faults) signer {
	if secret == nil {
		return signer{}
	}
	fields := bytes.Fields(secret)
	if len(fields) == 0 || len(fields) > maxSecrets {
		faults.add("secret", "holds %d secrets; allowed: 1 to %d, separated by white space", len(fields), maxSecrets)
		return signer{}
	}
	var s signer
	for i, field := range fields {
		key := field
		if text, ok := strings.CutPrefix(string(field), secretPrefix); ok {
			var err error
			// Padded or not: both are about.
			if key, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "=")); err != nil || len(key) == 0 {
				faults.add("secret", "number %d starts with %s but is not base64 after it; make one with: echo %s$(openssl rand -base64 32)",
					i+1, secretPrefix, secretPrefix)
				continue
			}
		}
		s.keys = append(s.keys, bytes.Clone(key))
	}
	return s
}

// sign adds the three headers of Standard Webhooks. Without a key it adds none: a timestamp that nobody vouches for is
// worth nothing.
func (s signer) sign(header http.Header, id string, at time.Time, body []byte) {
	if len(s.keys) == 0 {
		return
	}
	stamp := strconv.FormatInt(at.Unix(), 10)
	signatures := make([]string, len(s.keys))
	for i, key := range s.keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + stamp + "."))
		mac.Write(body)
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	header.Set(headerID, id)
	header.Set(headerTimestamp, stamp)
	header.Set(headerSignature, strings.Join(signatures, " "))
}
