package queue

import (
	"encoding/base64"
	"strings"
	"sync"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/bus"
)

// endings is the hints that a client gets when jobs end which it asked to be told of (Notify), handed to those who Wait.
// One subscription serves them all, over the connection that all of the process share; it is made by the first Wait after
// the first Notify, and kept until Close.
type endings struct {
	client *Client
	token  string // names the channel, and stands in the envelopes

	mu         sync.Mutex
	asked      bool // some envelope carries the token
	subscribed bool
	waiting    map[ended]map[chan struct{}]struct{}
	services   sync.WaitGroup
}

// ended names a job of a queue.
type ended struct {
	queue string
	id    uuid.UUID
}

func newEndings(c *Client) *endings {
	token := uuid.New()
	return &endings{client: c, token: base64.RawURLEncoding.EncodeToString(token[:]), waiting: make(map[ended]map[chan struct{}]struct{})}
}

// ask answers what an envelope has to carry for the hint to arrive here.
func (e *endings) ask() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked = true
	return e.token
}

// watch answers a channel that holds a hint when there may be news of a job, and a function that ends it.
func (e *endings) watch(job ended) (hint <-chan struct{}, stop func()) {
	one := make(chan struct{}, 1)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.waiting[job] == nil {
		e.waiting[job] = make(map[chan struct{}]struct{})
	}
	e.waiting[job][one] = struct{}{}
	e.subscribeLocked()
	return one, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if delete(e.waiting[job], one); len(e.waiting[job]) == 0 {
			delete(e.waiting, job)
		}
	}
}

// subscribeLocked opens the subscription where there is something to be told and none stands. Without one, because of a
// connection budget that is used up or of a user that may not subscribe, Wait looks by itself.
func (e *endings) subscribeLocked() {
	c := e.client
	if e.subscribed || !e.asked || c.life.Err() != nil {
		return
	}
	e.subscribed = true
	e.services.Go(func() {
		sub, err := bus.HubOf(c.conn).Keep(c.life, bus.Channel, c.space.Ended(e.token), e)
		if err != nil && c.life.Err() == nil {
			e.without(err)
		}
		if err != nil {
			return
		}
		defer sub.Close()
		e.Missed(bus.Gap{}) // what was said before it stood
		<-c.life.Done()
	})
}

// without tells that there are no hints.
func (e *endings) without(err error) {
	e.client.config.Logger.Warn().Err(err).Msg("no hints of jobs that end: waiting takes up to 2 s longer")
}

// wait returns when the subscription has ended, which the end of the client's life does.
func (e *endings) wait() {
	e.mu.Lock()
	e.subscribed = true // none is opened any more
	e.mu.Unlock()
	e.services.Wait()
}

// Missed: what was said meanwhile was missed, so all look again.
func (e *endings) Missed(bus.Gap) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, channels := range e.waiting {
		tell(channels)
	}
}

// Message is jobs that ended, "<queue> <id>" on a line each.
func (e *endings) Message(_ string, payload []byte) {
	for line := range strings.SplitSeq(string(payload), "\n") {
		name, text, _ := strings.Cut(line, " ")
		id, err := uuid.Parse(text)
		if err != nil {
			continue
		}
		e.mu.Lock()
		tell(e.waiting[ended{name, id}])
		e.mu.Unlock()
	}
}

// Ended: the user may not subscribe any more, or the client is closed.
func (e *endings) Ended(err error) {
	if e.client.life.Err() == nil {
		e.without(err)
	}
}

func tell(channels map[chan struct{}]struct{}) {
	for one := range channels {
		select {
		case one <- struct{}{}:
		default:
		}
	}
}

var _ bus.Receiver = (*endings)(nil)
