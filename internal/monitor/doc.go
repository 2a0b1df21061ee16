// Package monitor is the HTTP server of `worker run --listen` and who asks it: /livez, /readyz and /metrics of one worker.
package monitor
