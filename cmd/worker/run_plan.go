package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/bridge"
	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/internal/workerfile"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// envConfig stands in for the flag --config.
const envConfig = "TIDEMILL_CONFIG"

// setting is one word of a plan: a value as people read it, and who said so.
type setting struct {
	Name  string `json:"name"` // as in worker.yaml
	Value string `json:"value"`
	From  string `json:"from"` // a flag, a variable, a place in the file, or "default"
}

// plan is what a worker is to do.
type plan struct {
	file   *workerfile.File // nil without one
	config worker.Config
	client queue.Config
	url    string // of Redis; it may hold a password
	listen place
	// subscriptions are the topics whose messages become jobs.
	subscriptions []bridge.Subscription
	level         string
	format        string
	settings      []setting
}

// load reads the file that was asked for, nil if none was.
func (r *runCommand) load(cmd *cobra.Command) (*workerfile.File, error) {
	path := r.path
	switch given := cmd.Flags().Changed("config"); {
	case given && path == "":
		return nil, cli.Usagef("--config is given and empty; leave it out to run the built-in handlers")
	case !given:
		path = os.Getenv(envConfig)
	}
	if path == "" {
		return nil, nil
	}
	file, err := loadFile(path)
	if err != nil {
		return nil, cli.Usage(err)
	}
	return file, nil
}

// plan puts flags, environment, file and defaults together, in this order of weight. It tells the connection what the
// file says of it.
func (r *runCommand) plan(cmd *cobra.Command, file *workerfile.File) (*plan, error) {
	config, err := r.serving.config()
	if err != nil {
		return nil, err
	}
	if len(config.Queues) == 0 {
		config.Queues = []worker.Queue{{Name: queue.DefaultQueue, Weight: 1}}
	}
	p := &plan{file: file, config: config}
	if file != nil {
		r.connection.Fallback(file.Redis.URL, file.Namespace, file.Name)
		r.logging.fallback, r.logging.from = file.Log, file.Name
	}
	if err := r.connection.Check(); err != nil {
		return nil, err
	}
	p.redis(r)
	p.serving(cmd)
	p.process()
	p.takeSubscriptions()
	if err := p.takeListen(cmd, &r.serving); err != nil {
		return nil, err
	}
	if file != nil {
		if err := p.checkURL(r); err != nil {
			return nil, err
		}
	}
	level, format, err := r.logging.choose(cmd)
	if err != nil {
		return nil, err
	}
	p.level, p.format = level.Value, format.Value
	p.settings = append(p.settings, p.placed(level), p.placed(format))
	return p, nil
}

// placed names the place in the file, where the file said so.
func (p *plan) placed(s setting) setting {
	if p.file != nil && s.From == p.file.Name {
		s.From = fmt.Sprintf("%s:%d", p.file.Name, p.file.Line(s.Name))
	}
	return s
}

func (p *plan) redis(r *runCommand) {
	url, from := r.connection.URL()
	p.url = url
	at := p.placed(setting{Name: "redis", Value: cli.Redact(url), From: from})
	p.settings = append(p.settings, at)
	name, from := r.connection.Namespace(), "default"
	switch {
	case r.connection.NamespaceFlag():
		from = "--namespace"
	case os.Getenv(cli.EnvNamespace) != "":
		from = cli.EnvNamespace
	case p.has("namespace"):
		from = p.file.Name
	default:
		name = "tm"
	}
	p.settings = append(p.settings, p.placed(setting{Name: "namespace", Value: name, From: from}))
}

// checkURL says what is wrong with the Redis URL without asking Redis, and where the file says so: opening a client with
// a context that is over gets as far as the URL.
func (p *plan) checkURL(r *runCommand) error {
	over, end := context.WithCancel(context.Background())
	end()
	client, err := r.connection.Open(over, p.client)
	switch _, from := r.connection.URL(); {
	case err == nil:
		return client.Close()
	case !errors.Is(err, queue.ErrInvalid):
		return nil // it was about to ask
	case from != p.file.Name:
		return err
	}
	text := strings.TrimPrefix(err.Error(), p.file.Name+": ")
	field := p.file.URLField()
	for _, x := range fieldsOfURL {
		if rest, found := strings.CutPrefix(text, x.parameter); found && p.has(x.field) {
			field, text = x.field, strings.Replace(rest, " and client_key=", " and key_file ", 1)
		}
	}
	return cli.Usage(p.file.Faults([]workerfile.Fault{p.file.Fault(field, text)}))
}

// fieldsOfURL are the fields that became parameters of the URL, by how errors begin that are about them.
var fieldsOfURL = []struct{ parameter, field string }{
	{"parameter ca_cert: ", "redis.tls.ca_file"},
	{"parameters client_cert=", "redis.tls.cert_file"},
	{"parameter read_from=", "redis.read_from"},
}

func (p *plan) has(field string) bool { return p.file != nil && p.file.Has(field) }

// take decides one setting: what the flag says stays, else use takes the file's word.
func (p *plan) take(cmd *cobra.Command, flag, field string, use func(*workerfile.File), shown func() string) {
	from := "default"
	switch {
	case flag != "" && cmd != nil && cmd.Flags().Changed(flag):
		from = "--" + flag
	case p.has(field):
		use(p.file)
		from = p.file.Name
	}
	p.settings = append(p.settings, p.placed(setting{Name: field, Value: shown(), From: from}))
}

// serving is what flags may say too.
func (p *plan) serving(cmd *cobra.Command) {
	c := &p.config
	p.take(cmd, "concurrency", "concurrency", func(f *workerfile.File) { c.Concurrency = f.Concurrency }, func() string { return strconv.Itoa(c.Concurrency) })
	p.take(cmd, "strict", "strict", func(f *workerfile.File) { c.Strict = f.Strict }, func() string { return strconv.FormatBool(c.Strict) })
	p.bounds()
	p.take(cmd, "queues", "queues", func(f *workerfile.File) {
		c.Queues = nil
		for _, q := range f.Queues {
			c.Queues = append(c.Queues, worker.Queue{Name: q.Name, Weight: max(q.Weight, 1), Concurrency: q.Concurrency, Lifecycle: q.Lifecycle})
		}
	}, func() string {
		return queuesInWords(c.Queues, c.Strict)
	})
	for _, q := range c.Queues { // of the jobs that subscriptions make
		if q.Lifecycle {
			p.client.Lifecycle = append(p.client.Lifecycle, q.Name)
		}
	}
	p.take(cmd, "session-ttl", "session_ttl", func(f *workerfile.File) { c.SessionTTL = f.SessionTTL }, func() string { return brief(c.SessionTTL) })
	p.take(cmd, "drain", "shutdown.drain", func(f *workerfile.File) { c.Drain = max(*f.Shutdown.Drain, 1) }, func() string {
		if c.Drain == 1 { // the least there is stands for none
			return "0s"
		}
		return brief(c.Drain)
	})
}

// bounds gives the queues of the flag what it has no word for: how many handlers of each the file allows at once, and
// whether its jobs' lives are told.
func (p *plan) bounds() {
	if p.file == nil {
		return
	}
	p.config.Queues = slices.Clone(p.config.Queues)
	for i, q := range p.config.Queues {
		for _, said := range p.file.Queues {
			if said.Name == q.Name {
				p.config.Queues[i].Concurrency, p.config.Queues[i].Lifecycle = said.Concurrency, said.Lifecycle
			}
		}
	}
}

// process is what only the file may say.
func (p *plan) process() {
	c := &p.config
	c.Settle, c.CrashLimit = worker.DefaultSettle, worker.DefaultCrashLimit
	p.take(nil, "", "shutdown.settle", func(f *workerfile.File) { c.Settle = f.Shutdown.Settle }, func() string { return brief(c.Settle) })
	p.take(nil, "", "crash_limit", func(f *workerfile.File) { c.CrashLimit = f.CrashLimit }, func() string { return strconv.Itoa(c.CrashLimit) })
	p.take(nil, "", "max_connections", func(f *workerfile.File) { p.client.MaxConnections = f.MaxConnections }, func() string {
		if p.client.MaxConnections == 0 {
			return "50"
		}
		return strconv.Itoa(p.client.MaxConnections)
	})
}

// queuesInWords is "critical (weight 6), default (weight 3, at most 10 at once)".
func queuesInWords(queues []worker.Queue, strict bool) string {
	words := make([]string, len(queues))
	for i, q := range queues {
		var notes []string
		if !strict {
			notes = append(notes, fmt.Sprintf("weight %d", q.Weight))
		}
		if q.Concurrency > 0 {
			notes = append(notes, fmt.Sprintf("at most %d at once", q.Concurrency))
		}
		if q.Lifecycle {
			notes = append(notes, "tells "+queue.EventTopic(q.Name))
		}
		if words[i] = q.Name; len(notes) > 0 {
			words[i] += " (" + strings.Join(notes, ", ") + ")"
		}
	}
	if strict {
		return strings.Join(words, ", then ")
	}
	return strings.Join(words, ", ")
}

// at is a setting by its name.
func (p *plan) at(name string) *setting {
	return &p.settings[slices.IndexFunc(p.settings, func(s setting) bool { return s.Name == name })]
}

func (p *plan) value(name string) string { return p.at(name).Value }

func (p *plan) put(name, value string) { p.at(name).Value = value }

// brief is a duration without the zeros at its end: 1h, not 1h0m0s.
func brief(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
