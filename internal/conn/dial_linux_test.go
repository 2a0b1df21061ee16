package conn

import (
	"net"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sys/unix"
)

func TestDialerSetsTimeouts(t *testing.T) {
	srv := startScripted(t, nil, answerPing)
	dial := newDialer(&redis.Options{DialTimeout: time.Second})
	c, err := dial(t.Context(), "tcp", srv.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for option, want := range map[[2]int]int{
		{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT}: 5000,
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE}:      1,
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE}:     5,
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL}:    2,
	} {
		var got int
		var failed error
		if err := raw.Control(func(fd uintptr) { got, failed = unix.GetsockoptInt(int(fd), option[0], option[1]) }); err != nil {
			t.Fatal(err)
		}
		if failed != nil || got != want {
			t.Errorf("option %v is %d (%v), want %d", option, got, failed, want)
		}
	}
}
