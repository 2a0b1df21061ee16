package redisserver

import (
	"bufio"
	"errors"
	"io"
	"net"
	"testing"
)

// A server that answers in the place of ours is told by its process, also where it does not say which that is.
func TestProbeKnowsStrangers(t *testing.T) {
	for info, want := range map[string]error{
		"$17\r\nprocess_id:4711\r\n\r\n": nil,
		"$17\r\nprocess_id:4712\r\n\r\n": errStranger,
		"$16\r\nredis_version:8\r\n\r\n": errStranger,
		"-NOPERM you may not\r\n":        nil,
		"-ERR no such section\r\n":       errStranger,
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			r := bufio.NewReader(c)
			for _, answer := range []struct {
				lines int
				text  string
			}{{3, "+PONG\r\n"}, {5, info}} {
				for range answer.lines {
					if _, err := r.ReadString('\n'); err != nil {
						return
					}
				}
				_, _ = io.WriteString(c, answer.text)
			}
		}()
		if err := probe(t.Context(), l.Addr().String(), "", 4711); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", info, err, want)
		}
		_ = l.Close()
	}
}
