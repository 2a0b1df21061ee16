package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/internal/loop"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// The samples are what a small shop might do in the background. They take their time, so that there is something to
// watch.

// email sends a mail.
type email struct {
	To      string `json:"to"`
	Subject string `json:"subject"`
}

func (email) Kind() string { return "demo.email" }

// resize makes a picture smaller.
type resize struct {
	Image string `json:"image"`
	Width int    `json:"width"`
}

func (resize) Kind() string { return "demo.resize" }

// report goes through many rows, in steps.
type report struct {
	Name string `json:"name"`
	Rows int    `json:"rows"`
}

func (report) Kind() string { return "demo.report" }

// charge fails the first time, as payment services do.
type charge struct {
	Order int `json:"order"`
}

func (charge) Kind() string { return "demo.charge" }

// reminder is enqueued ahead of its time.
type reminder struct {
	Text string    `json:"text"`
	Due  time.Time `json:"due"`
}

func (reminder) Kind() string { return "demo.reminder" }

// chargeRetry is short, so that the retry can be watched.
var chargeRetry = worker.Backoff{Base: 400 * time.Millisecond, Cap: time.Second, Factor: 2, Jitter: 0.25}

// addSamples adds the handlers of the samples.
func addSamples(mux *worker.Mux) {
	worker.Handle(mux, sendEmail)
	worker.Handle(mux, resizeImage)
	worker.Handle(mux, writeReport)
	worker.Handle(mux, chargeCard, worker.Retry(chargeRetry))
	worker.Handle(mux, remind)
}

func sendEmail(ctx context.Context, job *queue.Job[email]) error {
	if err := loop.Sleep(ctx, 60*time.Millisecond); err != nil {
		return err
	}
	zerolog.Ctx(ctx).Info().Msgf("mail to %s: %s", job.Args.To, job.Args.Subject)
	return nil
}

func resizeImage(ctx context.Context, job *queue.Job[resize]) error {
	if err := loop.Sleep(ctx, 150*time.Millisecond); err != nil {
		return err
	}
	zerolog.Ctx(ctx).Info().Msgf("%s is %d pixels wide now", job.Args.Image, job.Args.Width)
	return nil
}

func writeReport(ctx context.Context, job *queue.Job[report]) error {
	const steps = 4
	for i := range steps {
		if err := loop.Sleep(ctx, 250*time.Millisecond); err != nil {
			return err // the next attempt starts over
		}
		zerolog.Ctx(ctx).Info().Msgf("%s report: %d of %d rows", job.Args.Name, job.Args.Rows*(i+1)/steps, job.Args.Rows)
	}
	return nil
}

func chargeCard(ctx context.Context, job *queue.Job[charge]) error {
	if err := loop.Sleep(ctx, 40*time.Millisecond); err != nil {
		return err
	}
	if job.Attempt == 1 {
		return errors.New("the bank did not answer")
	}
	zerolog.Ctx(ctx).Info().Msgf("order %d is paid", job.Args.Order)
	return nil
}

func remind(ctx context.Context, job *queue.Job[reminder]) error {
	event := zerolog.Ctx(ctx).Info()
	if !job.Args.Due.IsZero() {
		event = event.Str("late_by", time.Since(job.Args.Due).Round(100*time.Microsecond).String())
	}
	event.Msgf("reminder: %s", job.Args.Text)
	return nil
}

// sampleDelay is how far ahead the reminder is enqueued.
const sampleDelay = 2 * time.Second

// sample is one job of the first batch.
type sample struct {
	queue   string
	args    queue.Args
	options []queue.Option
}

// firstBatch is the first batch: the urgent goes to the first queue, the bulk to the last.
func firstBatch(queues []worker.Queue) []sample {
	var batch []sample
	add := func(place int, args queue.Args, options ...queue.Option) {
		name := queues[min(place, len(queues)-1)].Name
		batch = append(batch, sample{queue: name, args: args, options: append(options, queue.Queue(name))})
	}
	for i, name := range []string{"ada", "grace", "linus", "margaret", "ken", "barbara", "dennis", "radia"} {
		add(0, email{To: name + "@example.com", Subject: fmt.Sprintf("your order %d", 1001+i)})
	}
	for i := range 3 {
		add(0, charge{Order: 1001 + i})
	}
	for i := range 6 {
		add(1, resize{Image: fmt.Sprintf("photo-%d.jpg", i+1), Width: 640})
	}
	add(2, report{Name: "daily", Rows: 12_000})
	add(2, report{Name: "weekly", Rows: 80_000})
	due := time.Now().Add(sampleDelay).Truncate(time.Millisecond)
	add(1, reminder{Text: "tea is ready", Due: due}, queue.At(due))
	return batch
}
