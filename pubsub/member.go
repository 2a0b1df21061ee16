package pubsub

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/internal/bus"
	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/loop"
)

// member is this process in a group, whatever the type of the messages. Three goroutines serve it: one takes messages in,
// one sends heartbeats, and one settles what was done.
type member struct {
	client  *Client
	streams *bus.Streams
	topic   *keys.Topic
	name    string // the group's
	o       groupOptions
	log     zerolog.Logger
	trouble *loop.Limiter

	intake, beatNow, settle *loop.Trigger
	more                    atomic.Bool // there may be messages that the group was not given
	life                    context.Context
	end                     context.CancelFunc
	running                 sync.WaitGroup // intake and heartbeats
	settled                 chan struct{}  // closed when the settler is through
	hints                   *bus.Sub
	joined                  chan struct{} // closed when joinGroup is through
	gone                    chan struct{} // closed when Close is through

	mu         sync.Mutex
	session    string
	epoch      uint64 // counts sessions
	registered bool
	over       context.Context // ends with the session
	lose       context.CancelCauseFunc
	from       string // where the group begins if it must be made
	window     window
	queue      settleQueue
	lapsed     []string // sessions to recover
	dirty      int      // so many heartbeats look for messages that a lost reply left with the session
	check      bool     // look now
	closing    bool
	err        error
}

// window is the messages that the member has.
type window struct {
	held     map[string]*delivery // by position, all of the current session that are not settled
	gone     map[string]struct{}  // settled while a look at what Redis counts as the session's was under way; nil: there is none
	ready    deque
	waiting  dueHeap // to be delivered again
	takers   []*taker
	handed   int
	gap      *Gap  // to be told before the next message
	gapUS    int64 // which one it is, or was
	toldUS   int64 // which one a consumer was told of last
	suspects int   // held ones that saw two members die
	pace     pace
	came     time.Time // when a consumer came last, or messages for one that was not there
}

// delivery is one message of a member, at one of its deliveries.
type delivery struct {
	m     *member
	epoch uint64
	entry bus.Entry
	phase phase
	due   time.Time
	place int  // in the heap
	own   bool // a consumer said that it is done
}

// phase is where a delivery is.
type phase uint8

const (
	ready    phase = iota // for a consumer to take
	handed                // a consumer has it
	waiting               // for its next attempt
	settling              // done or dead, and Redis is being told
	settled
)

// taker is a consumer that waits.
type taker struct{ c chan *delivery }

// joinGroup makes this process a member, and returns once Redis knows it.
func joinGroup(ctx context.Context, c *Client, topic *keys.Topic, group string, o groupOptions) (*member, error) {
	m := &member{client: c, streams: c.streams, topic: topic, name: group, o: o, trouble: loop.NewLimiter(0),
		intake: loop.NewTrigger(), beatNow: loop.NewTrigger(), settle: loop.NewTrigger(), settled: make(chan struct{}),
		joined: make(chan struct{}), gone: make(chan struct{}), from: o.from.place()}
	m.log = c.config.Logger.With().Str("topic", topic.Name()).Str("group", group).Logger()
	m.life, m.end = context.WithCancel(context.Background())
	m.renewLocked(nil)
	hints, err := c.hub.Subscribe(ctx, bus.Channel, topic.Hints(), hintReceiver{m})
	if err != nil {
		m.end()
		return nil, err
	}
	m.hints = hints
	if _, err = m.beat(ctx); err == nil {
		err = c.addMember(m)
	}
	if err != nil {
		m.abandon()
		return nil, err
	}
	m.running.Go(m.takeIn)
	m.running.Go(m.keepAlive)
	go m.settleAll()
	close(m.joined)
	return m, nil
}

// abandon is close for a member that could not join.
func (m *member) abandon() {
	defer close(m.joined)
	defer close(m.gone)
	m.mu.Lock()
	m.closing = true
	m.mu.Unlock()
	m.end()
	m.hints.Close()
	m.leave()
}

// hintReceiver is told by the hub that there may be something to do.
type hintReceiver struct{ m *member }

// Message is a hint.
func (h hintReceiver) Message(_ string, payload []byte) {
	if string(payload) == "l" { // a member left: its messages are to be had at once
		h.m.beatNow.Set()
		return
	}
	h.m.look()
}

// Missed may have been any hint.
func (h hintReceiver) Missed(bus.Gap) {
	h.m.look()
	h.m.beatNow.Set()
}

// Ended says that there are no more hints.
func (h hintReceiver) Ended(err error) { go h.m.close(fmt.Errorf("hints: %w", outward(err))) }

// look makes the intake read.
func (m *member) look() {
	if !m.more.Swap(true) {
		m.intake.Set()
	}
}

// renewLocked begins a session: nothing that the member had is its own any more.
func (m *member) renewLocked(cause error) {
	if m.lose != nil {
		m.lose(cause)
	}
	m.epoch++
	m.session, m.registered = uuid.NewString(), false
	m.over, m.lose = context.WithCancelCause(context.Background())
	m.window.held = make(map[string]*delivery)
	m.window.ready, m.window.waiting = deque{}, nil
	m.window.handed, m.window.suspects = 0, 0
	m.queue.forgetUnowned()
	m.lapsed, m.dirty, m.check = nil, 0, false
}

// self names the session, with its number.
func (m *member) self() (bus.Group, uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.selfLocked(), m.epoch
}

func (m *member) selfLocked() bus.Group {
	return bus.Group{Topic: m.topic, Name: m.name, Session: m.session}
}

// closeFor bounds how long Close waits for Redis, once to tell it what was done, and once to leave.
const closeFor = 5 * time.Second

// close ends the member: what was done is told, and others take what is left. err is why; nil where the caller wanted it.
func (m *member) close(err error) {
	<-m.joined
	m.mu.Lock()
	if m.closing {
		m.mu.Unlock()
		<-m.gone
		return
	}
	m.closing, m.err = true, err
	m.mu.Unlock()
	defer close(m.gone)
	m.end()
	m.hints.Close()
	m.running.Wait()
	m.settle.Set()
	<-m.settled
	m.leave()
	m.mu.Lock()
	for _, t := range m.window.takers {
		close(t.c)
	}
	m.window.takers = nil
	m.lose(ErrClosed)
	m.mu.Unlock()
	m.client.removeMember(m)
	if err != nil {
		m.log.Error().Err(err).Msg("no longer a member of the group")
	}
}

// leave gives what the member has to others. If Redis does not hear of it they get it when the session's time is over.
func (m *member) leave() {
	m.mu.Lock()
	g, told := m.selfLocked(), m.window.toldUS
	m.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), closeFor)
	defer cancel()
	err := m.persist(ctx, func(ctx context.Context) error {
		_, err := m.streams.Beat(ctx, g, bus.Bye, m.o.ttl, "", told)
		return err
	})
	if err != nil && !errors.Is(err, ErrClosed) {
		m.log.Warn().Err(err).Msg("could not leave the group; its others wait until the session is over")
	}
}

// fatal tells an error that ends a member: trying again does not help.
func fatal(err error) bool {
	var wrong *bus.KeyTypeError
	return errors.Is(err, ErrNotPermitted) || errors.As(err, &wrong) || errors.Is(outward(err), ErrClosed)
}

// addMember has the client's Close close the member.
func (c *Client) addMember(m *member) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.closed(); err != nil {
		return err
	}
	c.members[m] = struct{}{}
	return nil
}

func (c *Client) removeMember(m *member) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.members, m)
}

// closeMembers closes all members, side by side.
func (c *Client) closeMembers() {
	c.mu.Lock()
	var all sync.WaitGroup
	for m := range c.members {
		all.Go(func() { m.close(nil) })
	}
	c.mu.Unlock()
	all.Wait()
}
