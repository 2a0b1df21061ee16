package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
)

const soon = time.Minute

// person is a process with a terminal.
type person struct {
	t        *testing.T
	name     string
	keyboard *io.PipeWriter
	done     chan error

	mu     sync.Mutex
	screen bytes.Buffer
}

func (p *person) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.screen.Write(b)
}

func (p *person) sees() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.screen.String()
}

// start seats a person in the lobby.
func start(t *testing.T, url, name string) *person {
	t.Helper()
	in, keyboard := io.Pipe()
	p := &person{t: t, name: name, keyboard: keyboard, done: make(chan error, 1)}
	go func() {
		p.done <- run(context.Background(), config{redis: url, name: name, room: "lobby", past: time.Hour, in: in, out: p})
	}()
	t.Cleanup(func() {
		_ = keyboard.Close()
		if err := <-p.done; err != nil {
			t.Errorf("%s: %v", name, err)
		}
	})
	p.await("you are in lobby")
	return p
}

func (p *person) types(line string) {
	p.t.Helper()
	if _, err := io.WriteString(p.keyboard, line+"\n"); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
}

// await waits until a text is on the screen.
func (p *person) await(text string) {
	p.t.Helper()
	redistest.WaitFor(p.t, soon, func() bool { return strings.Contains(p.sees(), text) }, p.name+" to see "+text)
}

// asks types /who until it is answered as told: signs take a moment.
func (p *person) asks(want string) {
	p.t.Helper()
	redistest.WaitFor(p.t, soon, func() bool {
		p.types("/who")
		return strings.Contains(p.sees(), want)
	}, p.name+" to see "+want)
}

// wantOnce checks that a text was shown once, and after another.
func (p *person) wantOnce(text, after string) {
	p.t.Helper()
	screen := p.sees()
	if strings.Count(screen, text) != 1 || strings.Index(screen, text) < strings.Index(screen, after) {
		p.t.Errorf("%s should see %q once, after %q:\n%s", p.name, text, after, screen)
	}
}

func TestRooms(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		ann, bob := start(t, srv.URL(), "ann"), start(t, srv.URL(), "bob")
		ann.await("* bob is here")
		ann.types("first")
		bob.await(" ann: first")
		bob.types("second")
		ann.await(" bob: second")

		carol := start(t, srv.URL(), "carol") // reads what was said before
		carol.await(" bob: second")
		carol.wantOnce(" ann: first", "")
		carol.wantOnce(" bob: second", " ann: first")
		carol.asks("in lobby: ann, bob, carol")

		carol.types("/join tea")
		ann.await("* carol has left")
		carol.types("with milk")
		carol.await(" carol: with milk")
		carol.asks("in tea: carol")
		if strings.Contains(ann.sees(), "milk") {
			t.Error("what is said in the tea room is heard in the lobby")
		}
		carol.types("/quit")
		if err := <-carol.done; err != nil {
			t.Error(err)
		}
		carol.done <- nil
	})
}

// Connections break while people talk: nothing is lost, nothing is shown twice, and all are known to be here.
func TestBrokenConnections(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		ann, bob := start(t, srv.URL(), "ann"), start(t, srv.URL(), "bob")
		ann.types("before")
		bob.await("ann: before")
		rdb := redistest.Client(t, srv)
		for _, text := range []string{"one", "two", "three"} {
			if err := rdb.Do(t.Context(), "CLIENT", "KILL", "TYPE", "pubsub").Err(); err != nil {
				t.Fatal(err)
			}
			ann.types(text)
			bob.await("ann: " + text)
		}
		bob.wantOnce("ann: one", "ann: before")
		bob.wantOnce("ann: two", "ann: one")
		bob.wantOnce("ann: three", "ann: two")
		ann.asks("in lobby: ann, bob")
	})
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
