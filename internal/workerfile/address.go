package workerfile

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

var (
	plainHost = regexp.MustCompile(`^(localhost|[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+|[A-Za-z0-9-]+:\d+)(:\d+)?$`)
	localHost = regexp.MustCompile(`^(localhost|[\d.]+)(:\d+)?$`)
	plainPath = regexp.MustCompile(`^(/[a-z_-]{0,20}){0,4}$`)
)

// withoutScheme says what is wrong with an address that lacks its http:// or https://, "" where it has some scheme. No more
// of the address is shown than cannot be secret: a path of words without digits is, a query or a user never. Hidden: none.
func withoutScheme(raw string, hidden bool) string {
	if head, _, found := strings.Cut(raw, "://"); found && head != "" && !strings.ContainsAny(head, "/?#") {
		return ""
	}
	scheme, rest := "", raw
	for _, s := range []string{"http", "https"} {
		if after, found := strings.CutPrefix(raw, s+":/"); found {
			scheme, rest = s, after
		}
	}
	rest = strings.TrimLeft(rest, ":/")
	u, err := url.Parse("https://" + rest)
	if hidden || err != nil || u.User != nil || !plainHost.MatchString(u.Host) {
		return "lacks http:// or https://; such as https://app.internal/hooks"
	}
	shown := u.Host
	switch {
	case plainPath.MatchString(u.Path) && u.RawQuery == "" && u.Fragment == "":
		shown += u.Path
	default:
		shown += "/..."
	}
	if scheme == "" {
		if scheme = "https"; localHost.MatchString(u.Host) {
			scheme = "http"
		}
	}
	return fmt.Sprintf("%q lacks http:// or https://; did you mean %s://%s?", shown, scheme, shown)
}
