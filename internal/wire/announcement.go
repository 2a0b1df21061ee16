package wire

import "time"

// Announcement is a worker process's line in the listing of workers: JSON, for people. Times are the server's.
type Announcement struct {
	Host        string            `json:"host"`
	PID         int               `json:"pid"`
	Version     string            `json:"version,omitempty"`
	Queues      []string          `json:"queues"`
	Kinds       []string          `json:"kinds,omitempty"`
	Concurrency int               `json:"concurrency"`
	Started     time.Time         `json:"started"`
	Seen        time.Time         `json:"seen"`
	Quiet       bool              `json:"quiet,omitempty"`
	Stopping    bool              `json:"stopping,omitempty"`
	LogLevel    string            `json:"log_level,omitempty"`
	Sessions    map[string]string `json:"sessions,omitempty"` // by queue
}

// Orders to a worker process.
const (
	OrderQuiet  = "quiet"
	OrderResume = "resume"
	OrderStop   = "stop"
)

// OrderHint is the first word of the hint on the control channel; the second is the worker's instance, or "*" for all.
const OrderHint = "order"
