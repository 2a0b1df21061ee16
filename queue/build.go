package queue

import (
	"fmt"
	"reflect"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/codec"
	"github.com/tidemill/tidemill/internal/wire"
)

// order is a job ready to be sent.
type order struct {
	lanes   *lanes
	item    broker.Item
	durable Durability
}

// build turns args and options into an item of a queue. Its errors are ErrInvalid and ErrPayloadTooLarge.
func (c *Client) build(m *common, args Args, shared, options []Option) (order, error) {
	s := m.blank()
	for _, list := range [2][]Option{shared, options} {
		for _, option := range list {
			if err := option(s); err != nil {
				return order{}, err
			}
		}
	}
	q, err := c.queue(s.queue)
	if err != nil {
		return order{}, err
	}
	room := payloads.Get().(*[]byte)
	defer putPayload(room)
	if err := c.payload(&s.envelope, args, room); err != nil {
		return order{}, err
	}
	if err := checkMeta(s.envelope.Meta); err != nil {
		return order{}, err
	}
	if s.notify {
		s.envelope.Notify = c.endings.ask()
	}
	item := broker.Item{Due: s.due}
	if s.id == "" {
		item.Made = true
		item.ID, err = newID()
	} else {
		item.ID, s.envelope.Key, err = wire.KeyID(c.space.Name(), s.queue, s.id)
	}
	if err != nil {
		return order{}, fmt.Errorf("%w %w", ErrInvalid, err)
	}
	s.envelope.CreatedAt = m.clock().UnixMilli()
	if at := max(s.due.At, s.envelope.CreatedAt+s.due.In); at > s.envelope.CreatedAt {
		s.envelope.DueAt = at
	}
	item.Envelope = m.envelope(&s.envelope, len(s.envelope.Args)+len(s.envelope.Kind)+48)
	b := order{lanes: q, item: item, durable: c.config.Durability}
	if s.durable != nil {
		b.durable = *s.durable
	}
	return b, nil
}

// payload marshals the args into the envelope, by the default codec into the room.
func (c *Client) payload(e *wire.Envelope, args Args, room *[]byte) error {
	if v := reflect.ValueOf(args); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return invalid("args", "nil", "a value with a Kind() method")
	}
	e.Kind = args.Kind()
	if err := CheckKind(e.Kind); err != nil {
		return err
	}
	switch args := args.(type) {
	case Raw:
		e.Args = args.Payload
	case *Raw:
		e.Args = args.Payload
	default:
		var err error
		if json, ok := c.config.Codec.(codec.JSON); ok {
			*room, err = json.Append((*room)[:0], args)
			e.Args = *room
		} else {
			e.Args, err = c.config.Codec.Marshal(args)
		}
		if err != nil {
			return fmt.Errorf("%w args of kind %q: %w", ErrInvalid, e.Kind, err)
		}
		if name := c.config.Codec.Name(); name != JSON.Name() {
			e.Encoding = name
		}
	}
	if len(e.Args) > c.config.MaxPayload {
		return fmt.Errorf("%w: kind %q has %d bytes; allowed: %d (Config.MaxPayload)", ErrPayloadTooLarge, e.Kind, len(e.Args), c.config.MaxPayload)
	}
	return nil
}

func checkMeta(meta map[string]string) error {
	n := 0
	for k, v := range meta {
		n += len(k) + len(v)
	}
	if n > maxMeta {
		return invalid("metadata", fmt.Sprintf("%d bytes", n), fmt.Sprintf("%d bytes", maxMeta))
	}
	return nil
}

// outcome makes one item's outcome an error, or nil where it was created.
func outcome(o broker.Outcome, id uuid.UUID) error {
	switch o {
	case broker.Created:
		return nil
	case broker.Duplicate, broker.DuplicateCancelled:
		return &DuplicateError{ID: id, Cancelled: o == broker.DuplicateCancelled}
	}
	return fmt.Errorf("%w envelope of job %s", ErrInvalid, id)
}
