package webhook

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tidemill/tidemill/queue"
)

// Defaults and bounds of Config.
const (
	DefaultTimeout    = 30 * time.Second
	DefaultMaxPerHost = 20
	MaxPerHost        = 10_000
)

// What Config.PrivateAddresses may be.
const (
	Allow = "allow"
	Deny  = "deny"
)

// Config is a handler's settings. Only URL is needed.
type Config struct {
	// URL is where the jobs go: http or https, without user and fragment. Secrets belong in Headers or Bearer.
	URL string
	// Secret signs the requests: "whsec_" and base64, or any other text, whose bytes are the key. Several, separated by
	// white space, give several signatures, so that a receiver can change from one to the next. nil = unsigned.
	Secret []byte
	// Bearer is sent as "Authorization: Bearer ..."; nil = not.
	Bearer []byte
	// Timeout bounds the whole exchange, from the wait for a free place (MaxPerHost) to the last byte of the answer;
	// 0 = 30 s.
	Timeout time.Duration
	// MaxPerHost bounds the requests of this process that are under way to the URL's host and port at once, those of
	// other handlers counted: 0 = 20.
	MaxPerHost int
	// PrivateAddresses is "allow" (also "") or "deny": refuse to connect to addresses that are not of the public
	// Internet, judged when connecting, so that no name can be turned to one later. With "deny" no proxy is used.
	PrivateAddresses string
	// Headers are added to each request. Those that the handler sets itself are refused, but for Content-Type and
	// User-Agent.
	Headers map[string]string
	// MaxResult is how much of the answer is kept as result, in bytes; 0 = queue.MaxResult, which is the most.
	MaxResult int
	// CAFile is a PEM file of the authorities to trust instead of the system's, for https.
	CAFile string
	// UserAgent names this program; "" = "tidemill".
	UserAgent string
}

// Fault is one thing wrong with a Config. Field is its name in worker.yaml, such as "max_per_host".
type Fault struct {
	Field string
	Text  string // what was given and what is allowed; never a secret
}

// Error names the field.
func (f Fault) Error() string { return f.Field + ": " + f.Text }

// Faults is all that is wrong with a Config, at least one.
type Faults []Fault

// Error joins the faults with "; ".
func (f Faults) Error() string {
	texts := make([]string, len(f))
	for i, fault := range f {
		texts[i] = fault.Error()
	}
	return strings.Join(texts, "; ")
}

func (f *Faults) add(field, format string, args ...any) {
	*f = append(*f, Fault{field, fmt.Sprintf(format, args...)})
}

// withDefaults puts the defaults in place of zeros.
func (c Config) withDefaults() Config {
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.MaxPerHost == 0 {
		c.MaxPerHost = DefaultMaxPerHost
	}
	if c.PrivateAddresses == "" {
		c.PrivateAddresses = Allow
	}
	if c.MaxResult == 0 {
		c.MaxResult = queue.MaxResult
	}
	if c.UserAgent == "" {
		c.UserAgent = "tidemill"
	}
	return c
}

// checkNumbers finds faults in what needs no parsing.
func (c Config) checkNumbers(faults *Faults) {
	if c.Timeout < 0 {
		faults.add("timeout", "%v; allowed: more than 0", c.Timeout)
	}
	if c.MaxPerHost < 1 || c.MaxPerHost > MaxPerHost {
		faults.add("max_per_host", "%d; allowed: 1 to %d", c.MaxPerHost, MaxPerHost)
	}
	if c.PrivateAddresses != Allow && c.PrivateAddresses != Deny {
		faults.add("private_addresses", "%.40q; allowed: %s, %s", c.PrivateAddresses, Allow, Deny)
	}
	if c.MaxResult < 1 || c.MaxResult > queue.MaxResult {
		faults.add("max_result", "%d; allowed: 1 to %d bytes", c.MaxResult, queue.MaxResult)
	}
}

// target reads the URL. Faults show no more of it than they must: its path and query may be secret.
func (c Config) target(faults *Faults) *url.URL {
	const allowed = `allowed: an address such as "https://app.internal/hooks"`
	if c.URL == "" {
		faults.add("url", "is missing; %s", allowed)
		return nil
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		// url.Error repeats the address; its cause names just what is wrong.
		if inner, ok := err.(*url.Error); ok {
			err = inner.Err
		}
		faults.add("url", "%v; %s", err, allowed)
		return nil
	}
	had := len(*faults)
	if u.Scheme != "http" && u.Scheme != "https" {
		faults.add("url", "scheme %.40q; allowed: http, https", u.Scheme)
	} else if u.Hostname() == "" || u.Opaque != "" {
		faults.add("url", "names no host; %s", allowed)
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			faults.add("url", "port %.20s; allowed: 1 to 65535", port)
		}
	}
	if u.User != nil {
		faults.add("url", "holds a user or password; put them into headers or bearer_file")
	}
	if u.Fragment != "" || strings.HasSuffix(c.URL, "#") {
		faults.add("url", "holds a fragment (#), which is never sent; leave it out")
	}
	if addr, err := netip.ParseAddr(u.Hostname()); err == nil && c.PrivateAddresses == Deny {
		if why := private(addr); why != "" {
			faults.add("url", "%s is %s, and private_addresses is deny", addr, why)
		}
	}
	if len(*faults) > had {
		return nil
	}
	return u
}

// place is a URL's host and port in one spelling: what is bounded by MaxPerHost.
func place(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return strings.ToLower(u.Hostname()) + ":" + port
}
