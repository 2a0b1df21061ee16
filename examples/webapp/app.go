package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/queue"
)

const (
	maxBody = 64 << 10
	// keep is how long a finished job can be looked at, and its Idempotency-Key is remembered.
	keep = time.Hour
)

// app is the service: its handlers share one client.
type app struct {
	client   *queue.Client
	log      zerolog.Logger
	patience time.Duration // how long a request waits for Redis
}

func (a *app) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /signup", a.signup)
	mux.HandleFunc("GET /jobs/{id}", a.job)
	mux.HandleFunc("GET /healthz", a.health)
	return mux
}

// signup enqueues the welcome mail and answers at once. A request that is sent again with the same Idempotency-Key
// enqueues nothing: 409 names the job of the first.
func (a *app) signup(w http.ResponseWriter, r *http.Request) {
	var args Welcome
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	if err := body.Decode(&args); err != nil || args.Email == "" {
		reply(w, http.StatusBadRequest, message{Error: `want {"email": "..."}`})
		return
	}
	options := []queue.Option{queue.Queue(mailQueue), queue.Retain(keep)}
	if key := r.Header.Get("Idempotency-Key"); key != "" {
		options = append(options, queue.ID("signup:"+key))
	}
	ctx, cancel := context.WithTimeout(r.Context(), a.patience)
	defer cancel()
	id, err := a.client.Enqueue(ctx, args, options...)
	var duplicate *queue.DuplicateError
	switch {
	case err == nil:
		w.Header().Set("Location", "/jobs/"+id.String())
		reply(w, http.StatusAccepted, message{ID: id.String()})
	case errors.As(err, &duplicate):
		w.Header().Set("Location", "/jobs/"+duplicate.ID.String())
		reply(w, http.StatusConflict, message{ID: duplicate.ID.String(), Error: "signed up already"})
	default:
		a.fail(w, r, err)
	}
}

// job shows what became of a job, by its id or as signup:<Idempotency-Key>.
func (a *app) job(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), a.patience)
	defer cancel()
	s, err := a.client.Get(ctx, mailQueue, r.PathValue("id"))
	if err != nil {
		a.fail(w, r, err)
		return
	}
	m := message{ID: s.ID.String(), Kind: s.Kind, State: string(s.State), Attempts: s.Attempts, Result: string(s.Result)}
	if n := len(s.Errors); n > 0 {
		m.Error = s.Errors[n-1].Error
	}
	reply(w, http.StatusOK, m)
}

func (a *app) health(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), a.patience)
	defer cancel()
	if err := a.client.Ping(ctx); err != nil {
		a.fail(w, r, err)
		return
	}
	reply(w, http.StatusOK, message{State: "ok"})
}

// fail answers an error of the queue with the status that fits.
func (a *app) fail(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, queue.ErrUnknownJob):
		reply(w, http.StatusNotFound, message{Error: "no such job"})
	case errors.Is(err, queue.ErrInvalid):
		reply(w, http.StatusBadRequest, message{Error: err.Error()})
	case errors.Is(err, queue.ErrUnavailable), errors.Is(err, queue.ErrRedisFull), errors.Is(err, queue.ErrOutcomeUnknown),
		errors.Is(err, context.DeadlineExceeded):
		// Also where nobody knows whether the job was created: sent again with its Idempotency-Key it is created once.
		a.log.Warn().Err(err).Str("path", r.URL.Path).Msg("queue unavailable")
		w.Header().Set("Retry-After", "5")
		reply(w, http.StatusServiceUnavailable, message{Error: "try again later"})
	default:
		a.log.Error().Err(err).Str("path", r.URL.Path).Msg("request failed")
		reply(w, http.StatusInternalServerError, message{Error: "internal error"})
	}
}

// message is the body of every answer.
type message struct {
	ID       string `json:"id,omitempty"`
	Kind     string `json:"kind,omitempty"`
	State    string `json:"state,omitempty"`
	Attempts int    `json:"attempts,omitempty"`
	Result   string `json:"result,omitempty"`
	Error    string `json:"error,omitempty"`
}

func reply(w http.ResponseWriter, status int, m message) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(m) // who has left needs no answer
}
