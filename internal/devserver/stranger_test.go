package devserver

import (
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/internal/redisserver"
)

// A program that finds an embedded server on its port, which began a moment before it did, has not started.
func TestStrangerOnThePort(t *testing.T) {
	program, ok := redisserver.Find()
	if !ok {
		t.Skip("no redis-server")
	}
	s, err := StartEmbedded("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Stop(t.Context()) }()
	_, text, _ := net.SplitHostPort(s.Addr)
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	srv, err := redisserver.Start(t.Context(), redisserver.Options{Binary: program, Port: port, Dir: t.TempDir()})
	if err == nil {
		srv.Kill()
		t.Fatal("it took the embedded server for its own")
	}
	if !strings.Contains(err.Error(), "Address already in use") {
		t.Error(err)
	}
}
