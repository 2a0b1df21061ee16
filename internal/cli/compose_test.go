package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCompose(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good, two, empty := write("good", "p@ss/w\r\n"), write("two", "a\nb\n"), write("empty", "\n")
	for _, c := range []struct {
		url     string
		secrets Secrets
		want    string // or, where it fails, what is said
	}{
		{"redis://h", Secrets{}, "redis://h"},
		{"rediss://h/1?ca_cert=old&pool_size=3", Secrets{CA: "/etc/ca.crt", Cert: "c", Key: "k", ServerName: "n"},
			"rediss://h/1?ca_cert=%2Fetc%2Fca.crt&client_cert=c&client_key=k&pool_size=3&server_name=n"},
		{"rediss+cluster://u@a:1,b:2", Secrets{CA: "ca", PasswordFile: good}, "rediss+cluster://u:p%40ss%2Fw@a:1,b:2?ca_cert=ca"},
		{"redis://h", Secrets{PasswordFile: good}, "redis://:p%40ss%2Fw@h"},
		{"redis+sentinel://a,b/m", Secrets{PasswordFile: good}, "redis+sentinel://:p%40ss%2Fw@a,b/m"},
		{"redis://h", Secrets{CA: "ca"}, "--tls-ca is for TLS, and the Redis URL says redis://"},
		{"unix:///s", Secrets{ServerName: "n"}, "--tls-server-name is for TLS"},
		{"redis://:x@h", Secrets{PasswordFile: good}, "--redis-password-file: the Redis URL has a password too"},
		{"redis://h", Secrets{PasswordFile: two}, "must hold one line"},
		{"redis://h", Secrets{PasswordFile: empty}, "must hold one line"},
		{"redis://h", Secrets{PasswordFile: filepath.Join(dir, "none")}, "no such file"},
	} {
		got, err := Compose(c.url, c.secrets)
		if err != nil && !strings.Contains(err.Error(), c.want) || err == nil && got != c.want {
			t.Errorf("%s: %q, %v; want %q", c.url, got, err, c.want)
		}
	}
}

func TestSecretsByFlag(t *testing.T) {
	conn, err := connection("--redis", "rediss://h:1", "--tls-ca", "ca.crt", "--tls-server-name", "redis.internal")
	if err != nil {
		t.Fatal(err)
	}
	if url, from := conn.URL(); url != "rediss://h:1?ca_cert=ca.crt&server_name=redis.internal" || from != FromFlag || conn.Check() != nil {
		t.Errorf("%s from %s, %v", url, from, conn.Check())
	}
	for _, args := range [][]string{{"--tls-ca", "x"}, {"--redis-password-file", "/nowhere/at/all"}, {"--tls-key="}} {
		conn, err := connection(args...)
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Check(); err == nil || !strings.Contains(err.Error(), args[0][:5]) {
			t.Errorf("%v: %v", args, err)
		}
	}
}
