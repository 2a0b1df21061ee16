package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// postgresDirs are where Debian and others put the server's programs, which are not all on PATH.
const postgresDirs = "/usr/lib/postgresql/*/bin"

// postgresSettings take its durability away, as the Redis beside it has none.
var postgresSettings = []string{"fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=256MB", "max_connections=200"}

// PostgresURL is where to connect to a Postgres broker.
func (b Broker) PostgresURL() string {
	return "postgres://bench@" + b.Addr + "/postgres?sslmode=disable"
}

// findPostgres finds the directory that holds both initdb and postgres, and an account that may run them.
func findPostgres() (string, error) {
	dirs, err := filepath.Glob(postgresDirs)
	if err != nil {
		return "", err
	}
	slices.Reverse(dirs) // the newest first
	if p, err := exec.LookPath("initdb"); err == nil {
		dirs = append([]string{filepath.Dir(p)}, dirs...)
	}
	for _, dir := range dirs {
		_, noServer := os.Stat(filepath.Join(dir, "postgres"))
		_, noInit := os.Stat(filepath.Join(dir, "initdb"))
		if noServer == nil && noInit == nil {
			_, err := postgresAccount()
			return dir, err
		}
	}
	return "", errors.New("no postgres and initdb on PATH nor in " + postgresDirs)
}

// postgresAccount is whom to run the server as: it refuses to be root. nil is oneself.
func postgresAccount() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("root may not run postgres: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

// launchPostgres makes one attempt.
func launchPostgres(ctx context.Context) (*server, error) {
	bin, err := findPostgres()
	if err != nil {
		return nil, err
	}
	addr, port, err := freeAddr()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "tidemill-bench-postgres-")
	if err != nil {
		return nil, err
	}
	s := &server{Broker: Broker{Kind: Postgres, Addr: addr}, dir: dir}
	if err := s.initPostgres(ctx, bin); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	args := []string{"-D", filepath.Join(dir, "data"), "-p", port, "-h", "127.0.0.1", "-k", ""}
	for _, setting := range postgresSettings {
		args = append(args, "-c", setting)
	}
	s.cmd = exec.Command(filepath.Join(bin, "postgres"), args...)
	if err := s.asPostgres(s.cmd); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, s.start(ctx, s.postgresReady)
}

// initPostgres makes the data directory.
func (s *server) initPostgres(ctx context.Context, bin string) error {
	account, err := postgresAccount()
	if err != nil {
		return err
	}
	if account != nil {
		if err := os.Chown(s.dir, int(account.Uid), int(account.Gid)); err != nil {
			return err
		}
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", filepath.Join(s.dir, "data"),
		"-U", "bench", "-A", "trust", "-E", "UTF8", "--no-sync", "--no-instructions")
	if err := s.asPostgres(cmd); err != nil {
		return err
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, tail(string(out), 2000))
	}
	return nil
}

// asPostgres has a command run under the account that may, and die with this program.
func (s *server) asPostgres(cmd *exec.Cmd) error {
	account, err := postgresAccount()
	cmd.Dir, cmd.SysProcAttr = s.dir, dieWithParent()
	cmd.SysProcAttr.Credential = account
	return err
}

// postgresReady waits for the server's answer, and checks that it serves our own directory.
func (s *server) postgresReady(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.PostgresURL())
	if err != nil {
		return fmt.Errorf("%w: %w", errNotReady, err)
	}
	defer conn.Close(ctx)
	var dir string
	if err := conn.QueryRow(ctx, "SELECT current_setting('data_directory'), current_setting('server_version')").Scan(&dir, &s.version); err != nil {
		return err
	}
	if dir != filepath.Join(s.dir, "data") {
		return fmt.Errorf("the server at %s serves %s, which is not ours", s.Addr, dir)
	}
	s.version, _, _ = strings.Cut(s.version, " ")
	return nil
}

func emptyPostgres(ctx context.Context, b Broker) error {
	conn, err := pgx.Connect(ctx, b.PostgresURL())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
	return err
}

// Transactions is how many a Postgres has ended so far; it learns of an idle connection's last ones within 10 s or so.
func Transactions(ctx context.Context, b Broker) (n int64, err error) {
	conn, err := pgx.Connect(ctx, b.PostgresURL())
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx)
	err = conn.QueryRow(ctx, "SELECT sum(xact_commit + xact_rollback)::bigint FROM pg_stat_database WHERE datname = current_database()").Scan(&n)
	return n, err
}

// postgresSize is that of the database's files.
func postgresSize(ctx context.Context, b Broker) (n int64, err error) {
	conn, err := pgx.Connect(ctx, b.PostgresURL())
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx)
	err = conn.QueryRow(ctx, "SELECT pg_database_size(current_database())").Scan(&n)
	return n, err
}
