package devserver

import (
	"context"
	"net"
	"time"
)

// stopWithin bounds the end of an embedded server.
const stopWithin = 5 * time.Second

// Lend answers the URL of a Redis for an example to run on: the one that it was given, or that of an embedded server which
// ends with stop and listens on addr, host:port (port 0: any free one). Where somebody listens on addr already it is
// theirs: of several processes the first lends one to the others, and lent is true there.
func Lend(given, addr string) (url string, lent bool, stop func(), err error) {
	if given != "" {
		return given, false, func() {}, nil
	}
	if conn, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
		_ = conn.Close()
		return "redis://" + addr + "/0", false, func() {}, nil
	}
	s, err := StartEmbedded(addr)
	if err != nil {
		return "", false, nil, err
	}
	return s.URL(), true, func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
		defer cancel()
		_ = s.Stop(ctx) // it keeps nothing
	}, nil
}
