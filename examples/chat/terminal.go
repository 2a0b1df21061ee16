package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tidemill/tidemill/pubsub"
)

const help = "what you type is said to the room; /who lists who is here, /join ROOM changes rooms, /quit leaves"

// terminal is one person's screen and keyboard.
type terminal struct {
	config
	client *pubsub.Client

	mu sync.Mutex // of the screen
}

// errQuit ends a visit and the program.
var errQuit = errors.New("quit")

// run goes from room to room.
func (t *terminal) run(ctx context.Context) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	typed := t.read(ctx)
	t.note(help)
	for next := t.room; ; {
		var err error
		switch next, err = t.visit(ctx, next, typed); {
		case errors.Is(err, errQuit), ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
	}
}

// read answers what is typed, line by line. Reading cannot be interrupted: at the end it may wait for one more line.
func (t *terminal) read(ctx context.Context) <-chan string {
	typed := make(chan string)
	go func() {
		defer close(typed)
		lines := bufio.NewScanner(t.in)
		for lines.Scan() {
			select {
			case typed <- strings.TrimSpace(lines.Text()):
			case <-ctx.Done():
				return
			}
		}
	}()
	return typed
}

// visit is the time in one room, up to the name of the next.
func (t *terminal) visit(ctx context.Context, name string, typed <-chan string) (next string, err error) {
	r, err := enter(ctx, t.client, name, t.name)
	if err != nil {
		return "", err
	}
	defer func() {
		bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		r.leave(bye)
	}()
	stay, leave := context.WithCancel(ctx)
	services, stay := errgroup.WithContext(stay)
	services.Go(func() error { return r.listen(stay, t.past, t.said) })
	services.Go(func() error { return r.watch(stay, t.note) })
	t.note("you are in " + name)
	next, err = t.talk(stay, r, typed)
	leave()
	if ended := services.Wait(); ended != nil {
		err = ended
	}
	return next, err
}

// talk does what is typed, until that is to leave the room.
func (t *terminal) talk(ctx context.Context, r *room, typed <-chan string) (next string, err error) {
	for {
		select {
		case <-ctx.Done():
			return "", nil
		case line, more := <-typed:
			command, rest, _ := strings.Cut(line, " ")
			switch {
			case !more, command == "/quit":
				return "", errQuit
			case line == "":
			case command == "/who":
				t.note(r.who())
			case command == "/join" && rest != "":
				return strings.TrimSpace(rest), nil
			case strings.HasPrefix(command, "/"):
				t.note(help)
			default:
				if err := r.say(ctx, line); err != nil {
					t.note("that was not said: " + err.Error())
				}
			}
		}
	}
}

func (t *terminal) said(m *pubsub.Message[Said]) {
	t.line("%s %s: %s", m.Time.Local().Format("15:04"), m.Data.From, m.Data.Text)
}

func (t *terminal) note(text string) { t.line("* %s", text) }

func (t *terminal) line(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.out, format+"\n", args...)
}
