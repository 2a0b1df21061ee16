package main

import (
	"context"
	"errors"
	"strings"

	"github.com/tidemill/tidemill/queue"
)

// mailQueue is where the jobs of this service go.
const mailQueue = "mail"

// Welcome is the job that greets a new user.
type Welcome struct {
	Email string `json:"email"`
}

// Kind names the job's handler.
func (Welcome) Kind() string { return "email.welcome" }

// mailer sends a welcome mail.
type mailer func(ctx context.Context, to string) error

// welcome handles a Welcome. An error is retried with backoff, so a mail may be sent twice: at least once is the promise.
func (send mailer) welcome(ctx context.Context, job *queue.Job[Welcome]) error {
	if !strings.Contains(job.Args.Email, "@") {
		return queue.Dead(errors.New("not an address")) // no retry would help
	}
	if err := send(ctx, job.Args.Email); err != nil {
		return err
	}
	return job.SetResult([]byte("sent"))
}
