package conn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// reply is an error as a server sends it.
type reply string

func (r reply) Error() string { return string(r) }
func (reply) RedisError()     {}

func TestClassify(t *testing.T) {
	dialing := func(ctx context.Context) error {
		_, err := (&net.Dialer{}).DialContext(ctx, "tcp", "127.0.0.1:1")
		return err
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	expired, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()

	for _, c := range []struct {
		err  error
		kind error
	}{
		{nil, nil},
		{redis.Nil, nil},
		{errors.New("anything"), nil},
		{reply("ERR unknown command"), nil},
		{reply("WRONGTYPE Operation against a key"), nil},
		{reply("BUSYGROUP Consumer Group name already exists"), nil},
		{context.Canceled, nil},
		{context.DeadlineExceeded, nil},
		{fmt.Errorf("deep: %w", fmt.Errorf("deeper: %w", context.DeadlineExceeded)), nil},
		{dialing(cancelled), nil},
		{redis.ErrClosed, nil},

		{dialing(t.Context()), ErrUnavailable},
		{dialing(expired), ErrUnavailable},
		{io.EOF, ErrUnavailable},
		{fmt.Errorf("x: %w", io.ErrUnexpectedEOF), ErrUnavailable},
		{io.ErrClosedPipe, ErrUnavailable},
		{&net.OpError{Op: "read", Err: net.ErrClosed}, ErrUnavailable},
		{net.ErrClosed, ErrUnavailable},
		{os.ErrDeadlineExceeded, ErrUnavailable},
		{&net.DNSError{Err: "no such host"}, ErrUnavailable},
		{redis.ErrPoolTimeout, ErrUnavailable},
		{redis.ErrPoolExhausted, ErrUnavailable},
		{reply("LOADING Redis is loading the dataset in memory"), ErrUnavailable},
		{reply("READONLY You can't write against a read only replica."), ErrUnavailable},
		{reply("ERR Error running script (call to f_1): @user_script:1: -READONLY You can't write against a read only replica."), ErrUnavailable},
		{reply("MASTERDOWN Link with MASTER is down"), ErrUnavailable},
		{reply("CLUSTERDOWN Hash slot not served"), ErrUnavailable},
		{reply("MOVED 1234 127.0.0.1:7001"), ErrUnavailable},
		{reply("UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)"), ErrUnavailable},
		{reply("TRYAGAIN Multiple keys request during rehashing of slot"), ErrUnavailable},
		{reply("BUSY Redis is busy running a script"), ErrUnavailable},
		{reply("NOREPLICAS Not enough good replicas to write."), ErrUnavailable},
		{reply("MISCONF Redis is configured to save RDB snapshots"), ErrUnavailable},
		{reply("ERR max number of clients reached"), ErrUnavailable},
		{fmt.Errorf("wrapped: %w", reply("LOADING x")), ErrUnavailable},

		{reply("OOM command not allowed when used memory > 'maxmemory'."), ErrFull},
		{reply("ERR Error running script: @user_script:1: -OOM command not allowed when used memory > 'maxmemory'."), ErrFull},
		{reply("NOAUTH Authentication required."), ErrAuth},
		{reply("NOPERM this user has no permissions"), ErrPermission},
		{reply("ERR Error running script: The user executing the script can't access at least one of the keys: NOPERM x"), ErrPermission},
		{reply("WRONGPASS invalid username-password pair"), ErrAuth},
	} {
		got := Classify(c.err)
		for _, kind := range []error{ErrUnavailable, ErrFull, ErrAuth, ErrPermission, ErrReadOnly, ErrUnsupported, ErrConfig} {
			if errors.Is(got, kind) != (kind == c.kind) {
				t.Errorf("%v: is %q = %v", c.err, kind, errors.Is(got, kind))
			}
		}
		if c.err != nil && !errors.Is(got, c.err) {
			t.Errorf("%v: the cause is lost in %v", c.err, got)
		}
		if c.kind == nil && got != c.err {
			t.Errorf("%v: changed to %v", c.err, got)
		}
		if again := Classify(got); again != got {
			t.Errorf("%v: wrapped twice: %v", c.err, again)
		}
		if want := c.kind == ErrUnavailable; Retryable(c.err) != want || Retryable(got) != want {
			t.Errorf("%v: retryable %v, classified %v, want %v", c.err, Retryable(c.err), Retryable(got), want)
		}
	}
}
