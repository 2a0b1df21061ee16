package cli

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
)

// Secrets are what a Redis URL need not hold: the files of a TLS connection, the name that the server's certificate
// bears, and a file with the password. Each is left out when empty.
type Secrets struct {
	CA, Cert, Key, ServerName, PasswordFile string
}

// fields are the flags of Secrets, and the parameters of a URL that say the same.
func (s *Secrets) fields() []struct{ flag, parameter, value string } {
	return []struct{ flag, parameter, value string }{
		{"--tls-ca", "ca_cert", s.CA}, {"--tls-cert", "client_cert", s.Cert}, {"--tls-key", "client_key", s.Key},
		{"--tls-server-name", "server_name", s.ServerName},
	}
}

// Compose puts the secrets into a Redis URL, whose parameters they replace. Its errors name the flag and never hold what
// is secret.
func Compose(raw string, s Secrets) (string, error) {
	if s == (Secrets{}) {
		return raw, nil
	}
	u, hosts, ok := parse(raw)
	if !ok {
		return raw, nil // what is wrong with it is told when it is opened
	}
	query := u.Query()
	for _, f := range s.fields() {
		if f.value == "" {
			continue
		}
		if !strings.HasPrefix(u.Scheme, "rediss") {
			return "", fmt.Errorf("%s is for TLS, and the Redis URL says %s://; allowed: rediss:// and rediss+...://", f.flag, u.Scheme)
		}
		query.Set(f.parameter, f.value)
	}
	u.RawQuery = query.Encode()
	if s.PasswordFile != "" {
		password, err := passwordIn(s.PasswordFile)
		if err != nil {
			return "", err
		}
		if _, has := u.User.Password(); has {
			return "", errors.New("--redis-password-file: the Redis URL has a password too; give one")
		}
		u.User = url.UserPassword(u.User.Username(), password)
	}
	return unparse(u, hosts), nil
}

// passwordIn reads the first line of a file.
func passwordIn(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("--redis-password-file: %w", err)
	}
	password, rest, _ := strings.Cut(string(text), "\n")
	password = strings.TrimSuffix(password, "\r")
	if password == "" || strings.TrimSpace(rest) != "" {
		return "", fmt.Errorf("--redis-password-file: %s must hold one line, the password", path)
	}
	return password, nil
}
