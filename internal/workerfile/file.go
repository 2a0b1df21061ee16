package workerfile

import (
	"time"

	"github.com/tidemill/tidemill/internal/backoff"
)

// Tags of the fields: yaml is the name; min and max bound numbers and durations; oneof lists what a text may be; like is
// an example; secret keeps the value out of messages; scalar marks the field that a plain value stands for where the
// struct is wanted; key marks the field that takes a mapping's key, and says what that names; required and null ("may be left empty") say so; hint
// ends the message of a fault; doc is for the JSON Schema.

// File is a configuration. Fields that are not set have their zero value: the defaults are the caller's.
type File struct {
	Redis          Redis          `yaml:"redis" doc:"Where Redis is: a URL, or a mapping when files or TLS come in."`
	Namespace      string         `yaml:"namespace" like:"tm" doc:"First part of every key in Redis; default tm."`
	Concurrency    int            `yaml:"concurrency" min:"1" max:"1000000" like:"20" doc:"Handlers running at once; default 20."`
	Queues         []Queue        `yaml:"queues" like:"{critical: {weight: 6}, default: {}}" null:"true" doc:"Queues to serve, by name; default: the queue default alone."`
	Strict         bool           `yaml:"strict" doc:"Serve the queues in the order of the file instead of by weight: a busy one starves those after it."`
	Handlers       []Handler      `yaml:"handlers" required:"true" like:"{\"demo.*\": {builtin: log}}" doc:"What runs the jobs, by kind. A kind that ends in * serves all that begin so; an exact one wins, then the longest."`
	Subscriptions  []Subscription `yaml:"subscriptions" like:"[{topic: orders, durable: shipping, enqueue: {kind: ship}}]" doc:"Topics whose messages become jobs."`
	SessionTTL     time.Duration  `yaml:"session_ttl" min:"2s" max:"1h" like:"6s" doc:"How long this worker may be out of touch before others take its jobs; one setting a namespace, default 6s."`
	CrashLimit     int            `yaml:"crash_limit" min:"1" max:"100" like:"3" doc:"How many workers a job may take down before it is dead; default 3."`
	MaxConnections int            `yaml:"max_connections" min:"4" max:"100000" like:"50" doc:"Connections of the process to Redis; default 50."`
	Shutdown       Shutdown       `yaml:"shutdown" like:"{drain: 25s}" doc:"How the worker ends."`
	Listen         string         `yaml:"listen" like:"127.0.0.1:9090" doc:"HOST:PORT for /livez, /readyz and /metrics; default: nothing listens."`
	Log            Log            `yaml:"log" like:"{level: info}" doc:"What is logged, to stderr."`

	Name string `yaml:"-"` // as it was given, for messages
	Dir  string `yaml:"-"` // what relative paths in it are relative to

	at        map[string]position // of each value set, by path
	variables map[string]bool     // the values that hold a variable, by path
}

// Redis is where Redis is.
type Redis struct {
	URL          string `yaml:"url" scalar:"true" secret:"true" like:"redis://127.0.0.1:6379/0" doc:"redis://, rediss:// (TLS), unix://, redis+sentinel:// or redis+cluster://."`
	URLFile      string `yaml:"url_file" like:"/run/secrets/redis-url" doc:"A file that holds the URL."`
	Username     string `yaml:"username" like:"worker" doc:"ACL user, where the URL names none."`
	Password     string `yaml:"password" secret:"true" doc:"Where the URL holds none; better password_file, or ${VAR}."`
	PasswordFile string `yaml:"password_file" like:"/run/secrets/redis" doc:"A file that holds the password."`
	TLS          TLS    `yaml:"tls" like:"{ca_file: ca.pem}" doc:"For the rediss schemes."`
	ReadFrom     string `yaml:"read_from" oneof:"primary,replica" doc:"Which server inspection reads from; default primary."`
}

// TLS is how to trust the server, and to be trusted.
type TLS struct {
	CAFile     string `yaml:"ca_file" like:"ca.pem" doc:"Certificates of the authorities to trust instead of the system's."`
	CertFile   string `yaml:"cert_file" like:"client.pem" doc:"This client's certificate."`
	KeyFile    string `yaml:"key_file" like:"client.key" doc:"The certificate's key."`
	ServerName string `yaml:"server_name" like:"redis.internal" doc:"The name to expect in the server's certificate; default: the URL's host."`
	SkipVerify bool   `yaml:"skip_verify" doc:"Trust any certificate: for trying things out only."`
}

// Queue is a queue to serve.
type Queue struct {
	Name        string `yaml:"-" key:"a queue"`
	Weight      int    `yaml:"weight" min:"1" max:"1000" like:"6" doc:"Share of the claims against the other queues; default 1."`
	Concurrency int    `yaml:"concurrency" min:"1" max:"1000000" like:"10" doc:"Handlers of this queue at once; default: no bound of its own."`
	Lifecycle   bool   `yaml:"lifecycle" doc:"Publish what becomes of its jobs here (started, succeeded, failed ...) to the topic jobs.QUEUE; default false."`
}

// Handler is what runs the jobs of a kind, or of all kinds that match a pattern. One of Exec, HTTP and Builtin is set.
type Handler struct {
	Kind    string         `yaml:"-" key:"a kind"`
	Exec    *Exec          `yaml:"exec" like:"{command: [./job]}" doc:"A command: the job's args on stdin."`
	HTTP    *HTTP          `yaml:"http" like:"{url: \"https://app.internal/hooks\"}" doc:"A POST of the job's args."`
	Builtin string         `yaml:"builtin" oneof:"log,noop,sleep,fail" doc:"A handler for demos and smoke tests."`
	Retry   *Retry         `yaml:"retry" like:"{max_attempts: 10}" doc:"For jobs that bring no limit of their own."`
	Retain  *time.Duration `yaml:"retain" min:"0s" like:"1h" doc:"How long a job that succeeded is kept with its result, where it brings no retention; default 1h with exec, else 0s: nothing is kept."`
	Timeout time.Duration  `yaml:"timeout" min:"1ms" like:"5m" doc:"Of one attempt, for jobs that bring none; default none."`
}

// Subscription is a topic whose messages become jobs. One of Topic and Pattern is set.
type Subscription struct {
	Topic   string  `yaml:"topic" like:"orders" doc:"Name of the topic."`
	Pattern string  `yaml:"pattern" like:"\"prices.*\"" doc:"All live topics whose names match a glob: * any text, ? one character, [ab] one of them."`
	Durable string  `yaml:"durable" like:"shipping" doc:"Take the messages from the topic's stream as a member of this group: each becomes a job once, also those that come while no worker runs. Default: those that are published while the worker is subscribed."`
	Enqueue Enqueue `yaml:"enqueue" required:"true" like:"{kind: ship}" doc:"The job that a message becomes: its payload is the message's data."`
}

// Enqueue is the jobs that messages become.
type Enqueue struct {
	Kind   string         `yaml:"kind" required:"true" like:"ship" doc:"Kind of the jobs."`
	Queue  string         `yaml:"queue" like:"default" doc:"Queue of the jobs; default: the queue default."`
	Retain *time.Duration `yaml:"retain" min:"0s" like:"5m" doc:"How long a job is kept after its end, and its message makes no other one; default 5m."`
}

// Exec is a command.
type Exec struct {
	Command   []string      `yaml:"command" required:"true" like:"[./job, --json]" hint:"; no shell reads it, for one write [sh, -c, \"a | b\"]" doc:"Program and arguments, no shell. A relative path with a slash is beside the file; a bare name is found on PATH."`
	Env       []string      `yaml:"env" secret:"true" like:"[MODE=fast]" doc:"NAME=value each, added to the command's environment."`
	PassEnv   []string      `yaml:"pass_env" like:"[EDITOR]" doc:"Names of the worker's variables to pass on, where they are set."`
	Timeout   time.Duration `yaml:"timeout" min:"1ms" like:"5m" doc:"Bounds every attempt: TERM, then KILL; default none."`
	KillAfter time.Duration `yaml:"kill_after" min:"1ms" like:"5s" doc:"From TERM to KILL; default 5s."`
}

// HTTP is where to post to.
type HTTP struct {
	URL              string            `yaml:"url" required:"true" like:"https://app.internal/hooks" secret:"true" doc:"http or https."`
	Secret           string            `yaml:"secret" secret:"true" doc:"Signs the requests (Standard Webhooks); better secret_file, or ${VAR}."`
	SecretFile       string            `yaml:"secret_file" like:"./hook.secret" doc:"A file that holds the secret, or several in a row for rotation."`
	BearerFile       string            `yaml:"bearer_file" like:"./hook.token" doc:"A file that holds what to send as Authorization: Bearer."`
	Headers          map[string]string `yaml:"headers" secret:"true" like:"{X-Team: billing}" doc:"Headers to add."`
	Timeout          time.Duration     `yaml:"timeout" min:"1ms" like:"30s" doc:"Of the whole exchange; default 30s."`
	MaxPerHost       int               `yaml:"max_per_host" min:"1" max:"10000" like:"20" doc:"Requests to the host under way at once; default 20."`
	PrivateAddresses string            `yaml:"private_addresses" oneof:"allow,deny" doc:"Whether addresses of private networks may be connected to; default allow."`
	MaxResult        int               `yaml:"max_result" min:"1" max:"65536" like:"4096" doc:"How much of the answer is kept as result, in bytes; default 65536."`
	CAFile           string            `yaml:"ca_file" like:"ca.pem" doc:"Certificates of the authorities to trust instead of the system's."`

	signing, bearer []byte
}

// Signing is the secret to sign with, wherever it came from; nil when there is none.
func (h *HTTP) Signing() []byte { return h.signing }

// Bearer is the token; nil when there is none.
func (h *HTTP) Bearer() []byte { return h.bearer }

// Retry is a retry policy. What is not set is the default's: 25 attempts, 1 s doubling up to 6 h, a quarter of it random.
type Retry struct {
	MaxAttempts int           `yaml:"max_attempts" min:"1" max:"10000" like:"10" doc:"Attempts before a job is dead; default 25."`
	Base        time.Duration `yaml:"base" min:"1ms" like:"2s" doc:"The first wait; default 1s."`
	Cap         time.Duration `yaml:"cap" min:"1ms" like:"1h" doc:"The longest wait; default 6h."`
	Factor      float64       `yaml:"factor" min:"1" max:"1000" like:"2" doc:"From one wait to the next; default 2."`
	Jitter      *float64      `yaml:"jitter" min:"0" max:"1" like:"0.25" doc:"The share of a wait that is random; default 0.25."`
}

// Shutdown is how the worker ends.
type Shutdown struct {
	Drain  *time.Duration `yaml:"drain" min:"0s" like:"25s" doc:"How long running jobs may go on after the first signal; default 25s, 0s gives them back at once."`
	Settle time.Duration  `yaml:"settle" min:"100ms" max:"10m" like:"5s" doc:"How long what the jobs came to may take to reach Redis after that; default 5s."`
}

// Log is what is logged.
type Log struct {
	Level  string `yaml:"level" oneof:"debug,info,warn,error" doc:"Default info."`
	Format string `yaml:"format" oneof:"auto,pretty,json" doc:"auto is pretty on a terminal, else json."`
}

// Policy is the backoff of a handler; false when it has none of its own.
func (h *Handler) Policy() (backoff.Policy, bool) {
	if h.Retry == nil {
		return backoff.Policy{}, false
	}
	p := DefaultPolicy
	if h.Retry.Base > 0 {
		p.Base = h.Retry.Base
	}
	if h.Retry.Cap > 0 {
		p.Cap = h.Retry.Cap
	}
	if h.Retry.Factor > 0 {
		p.Factor = h.Retry.Factor
	}
	if h.Retry.Jitter != nil {
		p.Jitter = *h.Retry.Jitter
	}
	return p, true
}

// DefaultPolicy is the backoff of handlers that have none of their own.
var DefaultPolicy = backoff.Default
