// Package queue is the vocabulary of Tidemill's job queue and its producer: what a job is, how it is enqueued, looked at
// and steered. Handlers and business code import only this package; only main imports worker, which runs the jobs.
//
//	type Resize struct {
//		URL   string `json:"url"`
//		Width int    `json:"width"`
//	}
//
//	func (Resize) Kind() string { return "image.resize" }
//
//	client, err := queue.Open(ctx, "redis://127.0.0.1:6379/0")
//	id, err := client.Enqueue(ctx, Resize{"a.png", 64}, queue.In(10*time.Minute))
//
// A job that Enqueue acknowledged is run at least once, whatever crashes: see "What is promised" in the README.
package queue
