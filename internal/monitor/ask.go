package monitor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// answerBytes is the longest answer that is read.
const answerBytes = 1 << 20

// Answer is what a worker says of itself.
type Answer struct {
	OK   bool
	Body json.RawMessage // as it came
	Report
}

// Ask asks a worker at a URL of its server (http://HOST:PORT): whether it takes jobs, or with live whether it answers at
// all. An error is that nobody, or somebody else, answers there.
func Ask(ctx context.Context, base string, live bool) (Answer, error) {
	place := "/readyz"
	if live {
		place = "/livez"
	}
	at := strings.TrimRight(base, "/") + place
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return Answer{}, err
	}
	request.Header.Set("Accept", "application/json")
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		var wrapped *url.Error // which tells the URL again
		if ctx.Err() != nil {
			err = errors.New("no answer in time")
		} else if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return Answer{}, fmt.Errorf("no worker answers at %s: %w", at, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, answerBytes))
	if err != nil {
		return Answer{}, fmt.Errorf("no worker answers at %s: %w", at, err)
	}
	a := Answer{OK: response.StatusCode == http.StatusOK, Body: body}
	known := response.StatusCode == http.StatusOK || response.StatusCode == http.StatusServiceUnavailable
	if !known || json.Unmarshal(body, &a.Report) != nil || !live && a.Phase == "" {
		return Answer{}, fmt.Errorf("who answers at %s is no worker of this kind: %s", at, response.Status)
	}
	return a, nil
}
