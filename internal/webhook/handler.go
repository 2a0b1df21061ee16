package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/queue"
)

const (
	// maxOutput is how much of the body of a refusal is kept with the job's error.
	maxOutput = 1 << 10
	// What is left of a body is read up to these, so that the connection can be used again; beyond them it is closed.
	drainMost = 256 << 10
	drainFor  = time.Second
	// crowded is how long a job waits that found no free place at its host in time.
	crowded = time.Second
)

// errSlow is the cause with which an exchange ends that took too long.
var errSlow = errors.New("took too long")

// Handler posts jobs to one URL. It is safe for concurrent use.
type Handler struct {
	config    Config
	url       *url.URL
	origin    string // scheme, host and port, as errors name the receiver
	place     string // what MaxPerHost is about
	header    http.Header
	signer    signer
	transport *http.Transport
	closed    atomic.Bool
}

// New makes a handler. Errors: Faults, with everything that is wrong. It reads CAFile and connects to nothing.
func New(config Config) (*Handler, error) { return newHandler(config, private, nil) }

func newHandler(config Config, judge func(netip.Addr) string, resolver *net.Resolver) (*Handler, error) {
	var faults Faults
	c := config.withDefaults()
	c.checkNumbers(&faults)
	h := &Handler{config: c, url: c.target(&faults), signer: newSigner(c.Secret, &faults), header: c.fixedHeader(&faults)}
	scheme := ""
	if h.url != nil {
		scheme, h.place, h.origin = h.url.Scheme, place(h.url), h.url.Scheme+"://"+h.url.Host
	}
	roots := authorities(c.CAFile, scheme, &faults)
	if len(faults) > 0 {
		return nil, faults
	}
	if c.PrivateAddresses != Deny {
		judge = nil
	}
	h.transport = newTransport(c, roots, judge, resolver)
	return h, nil
}

// Close closes the connections that are idle; those in use are closed as they become so. Requests under way are not
// disturbed, and late ones still work: a reload may close the handler that it replaced. Safe for concurrent use.
func (h *Handler) Close() {
	h.closed.Store(true)
	h.transport.CloseIdleConnections()
}

// Handle is a worker.Handler: one attempt is one POST. Its errors wrap *StatusError for an answer that was no success,
// *AddressError for an address that is denied, and else the trouble on the way.
func (h *Handler) Handle(outer context.Context, job *queue.Job[queue.Raw]) error {
	ctx, cancel := context.WithTimeoutCause(outer, h.config.Timeout, errSlow)
	defer cancel()
	if err := shared.enter(ctx, h.place, h.config.MaxPerHost); err != nil {
		return h.crowded(outer, err)
	}
	defer shared.leave(h.place)
	answer, err := h.exchange(ctx, cancel, job)
	if err != nil {
		return h.trouble(ctx, outer, err)
	}
	if err := answer.verdict(h.origin, time.Now()); err != nil {
		h.tellLate(outer, answer, err)
		return err
	}
	if answer.cut {
		zerolog.Ctx(outer).Warn().Int("kept", len(answer.body)).Msg("the answer is longer than a result may be; the rest was cut off")
	}
	if len(answer.body) == 0 {
		return nil
	}
	return job.SetResult(answer.body)
}

// exchange sends the request and reads the answer. cancel ends ctx, for the rest of a body that is not worth waiting for.
func (h *Handler) exchange(ctx context.Context, cancel func(), job *queue.Job[queue.Raw]) (*answer, error) {
	payload := job.Args.Payload
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url.String(), bytes.NewReader(payload))
	if err != nil {
		return nil, err
	}
	request.Close = h.closed.Load()
	request.Header = h.header.Clone()
	describe(request.Header, job)
	h.signer.sign(request.Header, job.ID.String(), time.Now(), payload)
	// The transport itself, not a Client: no redirects, no cookies. It sends a request again that a connection swallowed
	// which the receiver was just closing, since Idempotency-Key says that it may.
	response, err := h.transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	a := &answer{code: response.StatusCode, header: response.Header}
	if a.code < 200 { // 101 hands over a bare connection, which no context ends
		return a, nil
	}
	keep := h.config.MaxResult
	if a.code > 299 {
		keep = maxOutput
		// The status says it all: its words are not worth a long wait.
		defer time.AfterFunc(drainFor, cancel).Stop()
	}
	a.body, err = io.ReadAll(io.LimitReader(response.Body, int64(keep)+1))
	if len(a.body) > keep {
		a.body, a.cut = a.body[:keep], true
		drain(response, cancel)
	} else if err != nil && a.code <= 299 {
		return nil, fmt.Errorf("its answer %d broke off after %d bytes: %w", a.code, len(a.body), err)
	}
	return a, nil
}

// drain reads the rest of a body, if that is soon over.
func drain(response *http.Response, cancel func()) {
	defer time.AfterFunc(drainFor, cancel).Stop()
	_, _ = io.CopyN(io.Discard, response.Body, drainMost)
}

// trouble is the error of an exchange that brought no whole answer.
func (h *Handler) trouble(ctx, outer context.Context, err error) error {
	switch {
	case outer.Err() != nil:
		return fmt.Errorf("%s: request given up: %w", h.origin, context.Cause(outer))
	case ctx.Err() != nil:
		return fmt.Errorf("%s: no whole answer within %v", h.origin, h.config.Timeout)
	case errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%s closed the connection without an answer: %w", h.origin, err)
	}
	return fmt.Errorf("%s: %w", h.origin, err)
}

// crowded is the outcome for a job that found no free place in time. Nothing was sent, so no attempt is used.
func (h *Handler) crowded(outer context.Context, cause error) error {
	if errors.Is(cause, errSlow) || errors.Is(cause, queue.ErrTimeout) {
		zerolog.Ctx(outer).Warn().Str("receiver", h.origin).Int("max_per_host", h.config.MaxPerHost).
			Msg("no place became free in time; the job comes back without having used an attempt")
		return queue.Snooze(crowded)
	}
	return fmt.Errorf("%s: request given up: %w", h.origin, cause)
}

// tellLate logs a wait that was asked for and is longer than allowed.
func (h *Handler) tellLate(outer context.Context, a *answer, err error) {
	var after *queue.RetryAfterError
	if !errors.As(err, &after) || after.After < MaxRetryAfter {
		return
	}
	zerolog.Ctx(outer).Warn().Str("receiver", h.origin).Str("retry_after", fmt.Sprintf("%.60s", a.header.Get("Retry-After"))).
		Stringer("used", after.After).Msg("asked for a longer wait than is allowed")
}
