package supervise

import (
	"errors"
	"reflect"
	"strings"
	"syscall"
	"testing"
)

func TestMessages(t *testing.T) {
	c := Command{Path: "/bin/x", Dir: "/", Args: []string{"x", "", "ä b"}, Env: []string{"A=1"}}
	packet, err := appendStart(nil, 7, &c)
	if err != nil {
		t.Fatal(err)
	}
	r, err := parseRequest(packet)
	if want := (request{op: opStart, id: 7, command: c}); err != nil || !reflect.DeepEqual(r, want) {
		t.Errorf("%+v, %v; want %+v", r, err, want)
	}
	for i := range packet {
		if _, err := parseRequest(packet[:i]); err == nil {
			t.Errorf("the first %d of %d bytes are taken for a request", i, len(packet))
		}
	}
	if _, err := parseRequest(append(packet, 0)); err == nil {
		t.Error("a byte too many")
	}
	if r, err := parseRequest(appendSignal(nil, opKill, 9)); err != nil || r.op != opKill || r.id != 9 {
		t.Errorf("%+v, %v", r, err)
	}
	c.Env = []string{strings.Repeat("x", maxMessage)}
	if _, err := appendStart(nil, 7, &c); !errors.Is(err, syscall.E2BIG) {
		t.Errorf("%v, want %v", err, syscall.E2BIG)
	}
}

func TestEvents(t *testing.T) {
	sent := []event{{id: 1, status: 0x0700, cpu: 12}, {id: 1 << 40, errno: syscall.ENOENT, left: 3}}
	var packet []byte
	for _, e := range sent {
		packet = e.append(packet)
	}
	var got []event
	if err := events(packet, func(e event) { got = append(got, e) }); err != nil || !reflect.DeepEqual(got, sent) {
		t.Errorf("%+v, %v", got, err)
	}
	if err := events(packet[:len(packet)-1], func(event) {}); err == nil {
		t.Error("a packet that was cut")
	}
	if err := events(append([]byte{'x'}, packet[1:]...), func(event) {}); err == nil {
		t.Error("a packet of another kind")
	}
}

func FuzzRequest(f *testing.F) {
	packet, _ := appendStart(nil, 7, &Command{Path: "/bin/x", Args: []string{"x"}, Env: []string{"A=1"}})
	f.Add(packet)
	f.Add([]byte("s\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRequest(b)
		if err != nil || r.op != opStart {
			return
		}
		again, err := appendStart(nil, r.id, &r.command)
		if err == nil && string(again) != string(b) {
			t.Errorf("%q came back as %q", b, again)
		}
	})
}
