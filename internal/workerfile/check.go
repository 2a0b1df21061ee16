package workerfile

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/queue"
)

// check finds the faults that lie in how values go together, and reads the files that are named.
func (d *decoder) check() {
	f := d.file
	if _, err := keys.NewSpace(f.Namespace); err != nil {
		d.bad("namespace", "%s", nameFault(err))
	}
	if f.Has("queues") && len(f.Queues) == 0 && !d.faultyBelow("queues") {
		d.bad("queues", "is empty; name one at least, or leave it out for the queue default%s", such("queues: {default: {}}"))
	}
	for _, q := range f.Queues {
		path := Field("queues", q.Name)
		if _, err := (keys.Space{}).Queue(q.Name); err != nil {
			d.bad(path, "%s", nameFault(err))
		}
		if f.Strict && q.Weight > 0 {
			d.bad(path+".weight", "means nothing with strict: true; leave one of them out")
		}
	}
	if f.Listen != "" && !d.faultyBelow("listen") {
		if err := CheckListen(f.Listen); err != nil {
			d.bad("listen", "%.60q %v", f.Listen, err)
		}
	}
	d.checkRedis(&f.Redis)
	d.checkSubscriptions(f.Subscriptions)
	if f.Has("handlers") && len(f.Handlers) == 0 && !d.faultyBelow("handlers") {
		d.bad("handlers", "is empty: nothing would be run%s", such("handlers: {\"demo.*\": {builtin: log}}"))
	}
	for i := range f.Handlers {
		d.checkHandler(&f.Handlers[i])
		d.checkMore(&f.Handlers[i])
	}
}

// checkMore asks the checks of the source. What they say of fields that have a fault already would only confuse, and so
// would what they say of fields that are not set, where that may be due to such a fault.
func (d *decoder) checkMore(h *Handler) {
	path := Field("handlers", h.Kind)
	var more Faults
	for _, check := range d.source.Checks {
		for _, fault := range check(d.file, h) {
			if !d.faultyBelow(fault.Field) && (d.file.Has(fault.Field) || !d.faultyBelow(path)) {
				more = append(more, fault)
			}
		}
	}
	d.faults = append(d.faults, more...)
}

// nameFault is what package keys says of a name, without the word before it that the field says too.
func nameFault(err error) string {
	_, text, _ := strings.Cut(err.Error(), ": ")
	return text
}

// bad is a fault of a value.
func (d *decoder) bad(path, format string, args ...any) {
	d.faults = append(d.faults, d.file.Fault(path, fmt.Sprintf(format, args...)))
}

// faultyBelow tells whether a field, or what it holds, has a fault already: more would only confuse.
func (d *decoder) faultyBelow(path string) bool {
	for _, f := range d.faults {
		if f.Field == path || strings.HasPrefix(f.Field, path+".") || strings.HasPrefix(f.Field, path+"[") {
			return true
		}
	}
	return false
}

func (d *decoder) checkHandler(h *Handler) {
	path := Field("handlers", h.Kind)
	if err := queue.CheckKind(h.Kind); err != nil {
		d.bad(path, "%v", strings.TrimPrefix(err.Error(), "invalid "))
	} else if at := strings.Index(h.Kind, "*"); at >= 0 && at < len(h.Kind)-1 {
		d.bad(path, "a * stands for any text at the end of a pattern, and nowhere else; such as \"%s*\"", h.Kind[:at])
	}
	var ways []string
	for _, way := range []string{"exec", "http", "builtin"} {
		if d.file.Has(path+"."+way) || d.faultyBelow(path+"."+way) {
			ways = append(ways, way)
		}
	}
	slices.SortStableFunc(ways, func(a, b string) int { return cmp.Compare(d.file.offset(path+"."+a), d.file.offset(path+"."+b)) })
	switch {
	case len(ways) > 1:
		d.bad(path+"."+ways[1], "stands beside %s; allowed: one of exec, http, builtin", ways[0])
	case len(ways) == 0 && !d.faultyBelow(path):
		d.bad(path, "has nothing to run; give one of exec, http, builtin")
	}
	if h.Exec != nil {
		d.checkExec(h.Exec, path+".exec")
	}
	if h.HTTP != nil {
		d.checkHTTP(h.HTTP, path+".http")
	}
	if policy, own := h.Policy(); own && !d.faultyBelow(path+".retry") {
		if policy.Cap < policy.Base {
			which := "cap"
			if h.Retry.Cap == 0 {
				which = "base"
			}
			d.bad(path+".retry."+which, "the cap (%v) is less than the base (%v)", policy.Cap, policy.Base)
		} else if err := policy.Validate(); err != nil {
			d.bad(path+".retry", "%v", err)
		}
	}
}

func (d *decoder) checkExec(e *Exec, path string) {
	if d.file.Has(path+".command") && !d.faultyBelow(path+".command") {
		switch {
		case len(e.Command) == 0:
			d.bad(path+".command", "is empty; such as command: [./job, --json]")
		case e.Command[0] == "":
			d.bad(path+".command[0]", "is empty; it names the program, such as ./job")
		}
	}
	for i, pair := range e.Env {
		name, _, found := strings.Cut(pair, "=")
		at := fmt.Sprintf("%s.env[%d]", path, i)
		switch {
		case d.faultyBelow(at):
		case !found || !isVariable(name):
			d.bad(at, "is not NAME=value with a name of A-Z a-z 0-9 _; such as MODE=fast")
		case strings.HasPrefix(name, "TIDEMILL_"):
			if d.file.fromVariable(at) {
				name = "a name that begins with TIDEMILL_"
			}
			d.bad(at, "%s is set by the worker itself; choose another name", name)
		}
	}
	for i, name := range e.PassEnv {
		at := fmt.Sprintf("%s.pass_env[%d]", path, i)
		if isVariable(name) || d.faultyBelow(at) {
			continue
		}
		shown := "what it holds"
		if key, _, pair := strings.Cut(name, "="); pair && isVariable(key) {
			shown = fmt.Sprintf("%.60q", key+"=...") // the value may be secret
		} else if !d.file.fromVariable(at) {
			shown = fmt.Sprintf("%.60q", name)
		}
		d.bad(at, "%s is no name of a variable; such as EDITOR (env sets one: NAME=value)", shown)
	}
}

func (d *decoder) checkHTTP(h *HTTP, path string) {
	if h.URL != "" {
		if text := withoutScheme(h.URL, d.file.fromVariable(path+".url")); text != "" {
			d.bad(path+".url", "%s", text)
		}
	}
	if h.Secret != "" && h.SecretFile != "" {
		d.bad(path+".secret_file", "stands beside secret; allowed: one of them")
	}
	h.signing = []byte(h.Secret)
	if h.Secret == "" {
		h.signing = d.readSecret(path+".secret_file", h.SecretFile)
	}
	h.bearer = d.readSecret(path+".bearer_file", h.BearerFile)
	h.CAFile = d.readable(path+".ca_file", h.CAFile)
}

func (d *decoder) checkRedis(r *Redis) {
	if d.faultyBelow("redis") {
		return
	}
	if r.URL != "" && r.URLFile != "" {
		d.bad("redis.url_file", "stands beside url; allowed: one of them")
	} else if r.URLFile != "" {
		r.URL = string(d.readSecret("redis.url_file", r.URLFile))
	}
	if r.Password != "" && r.PasswordFile != "" {
		d.bad("redis.password_file", "stands beside password; allowed: one of them")
	} else if r.PasswordFile != "" {
		r.Password = string(d.readSecret("redis.password_file", r.PasswordFile))
	}
	r.TLS.CAFile = d.readable("redis.tls.ca_file", r.TLS.CAFile)
	r.TLS.CertFile = d.readable("redis.tls.cert_file", r.TLS.CertFile)
	r.TLS.KeyFile = d.readable("redis.tls.key_file", r.TLS.KeyFile)
	if (r.TLS.CertFile == "") != (r.TLS.KeyFile == "") && !d.faultyBelow("redis.tls") {
		d.bad("redis.tls", "cert_file and key_file belong together; give both or none")
	}
	if d.file.Has("redis") && r.URL == "" && !d.faultyBelow("redis") {
		d.bad("redis.url", "is missing; such as url: redis://127.0.0.1:6379/0")
	}
	if !d.faultyBelow("redis") {
		d.compose(r)
	}
}

// compose puts user, password and TLS into the URL.
func (d *decoder) compose(r *Redis) {
	scheme, rest, found := strings.Cut(r.URL, "://")
	if !found {
		if r.URL != "" {
			d.bad(d.file.URLField(), "has no \"://\"; such as redis://127.0.0.1:6379/0")
		}
		return
	}
	if r.Username != "" || r.Password != "" {
		end := strings.IndexAny(rest, "/?#")
		if end < 0 {
			end = len(rest)
		}
		if strings.Contains(rest[:end], "@") {
			d.bad(d.file.URLField(), "holds a user or password, and username or password stand beside it; allowed: one place")
			return
		}
		user := url.User(r.Username)
		if r.Password != "" {
			user = url.UserPassword(r.Username, r.Password)
		}
		rest = user.String() + "@" + rest
	}
	if r.TLS != (TLS{}) && !strings.HasPrefix(scheme, "rediss") {
		begins := fmt.Sprintf("begins %.20s://", scheme)
		if d.file.fromVariable(d.file.URLField()) {
			begins = "begins otherwise"
		}
		d.bad("redis.tls", "goes with rediss:// only, and the URL %s", begins)
		return
	}
	query := url.Values{}
	for name, value := range map[string]string{"ca_cert": r.TLS.CAFile, "client_cert": r.TLS.CertFile, "client_key": r.TLS.KeyFile,
		"server_name": r.TLS.ServerName, "read_from": r.ReadFrom} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if r.TLS.SkipVerify {
		query.Set("skip_verify", "true")
	}
	if len(query) > 0 {
		separator := "?"
		if strings.Contains(rest, "?") {
			separator = "&"
		}
		rest += separator + query.Encode()
	}
	r.URL = scheme + "://" + rest
}

// URLField is the field that holds the URL of Redis: redis itself may be one.
func (f *File) URLField() string {
	for _, field := range []string{"redis.url", "redis.url_file"} {
		if f.Has(field) {
			return field
		}
	}
	return "redis"
}
