package bus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/conn"
)

// ErrMaybe means that the message may have been published, though the reply did not come.
var ErrMaybe = errors.New("it may have been published")

// Post is a message on its way: its channel, what it says, and what became of it.
type Post struct {
	Channel string
	Payload []byte
	Sharded bool  // SPUBLISH
	Err     error // set by Send: nil = Redis took it
}

// Send publishes in one pipeline, in order (in a Cluster: of a channel), and sets each post's Err: classified as package
// conn does, and ErrMaybe as well where the post may have been published. It sends nothing twice, unless the client does.
// Nobody listening is no error.
func Send(ctx context.Context, client redis.UniversalClient, posts []Post) {
	pipe := client.Pipeline()
	cmds := make([]redis.Cmder, len(posts))
	args := make([]any, 3*len(posts))
	for i := range posts {
		p := &posts[i]
		own := args[3*i : 3*i+3 : 3*i+3]
		own[0], own[1], own[2] = "publish", &p.Channel, p
		if p.Sharded {
			own[0] = "spublish"
		}
		cmd := redis.NewIntCmd(ctx, own...)
		cmd.SetFirstKeyPos(1) // or a Cluster's client sends each PUBLISH to any node, and a channel's messages overtake one another
		cmds[i] = cmd
	}
	_ = pipe.BatchProcess(ctx, cmds...)
	_, err := pipe.Exec(ctx)
	if err == nil {
		for i := range posts {
			posts[i].Err = nil
		}
		return
	}
	hidden := resends(client)
	for i := range posts {
		posts[i].Err = explain(cmds[i].Err(), hidden, posts[i].Sharded)
	}
}

// MarshalBinary gives go-redis what to write without a copy.
func (p *Post) MarshalBinary() ([]byte, error) { return p.Payload, nil }

// explain sorts the error of a post. Hidden: the client may have sent it before the try that the error is about.
func explain(err error, hidden, sharded bool) error {
	if err == nil {
		return nil
	}
	var reply redis.Error
	answered := errors.As(err, &reply)
	if sharded && answered && strings.HasPrefix(reply.Error(), "ERR unknown command") {
		return fmt.Errorf("%w: %w", ErrNoSharding, err)
	}
	err = conn.Classify(err)
	if hidden && errors.Is(err, conn.ErrUnavailable) || !answered && !unsent(err) {
		return maybe{err}
	}
	return err
}

// unsent tells a post that surely was not sent: no connection could be made or had.
func unsent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial" || errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, redis.ErrClosed)
}

// maybe is an error after which the post may have been published.
type maybe struct{ error }

func (m maybe) Error() string   { return ErrMaybe.Error() + ": " + m.error.Error() }
func (m maybe) Unwrap() []error { return []error{ErrMaybe, m.error} }

// resends tells a client that sends a failed command again by itself.
func resends(client redis.UniversalClient) bool {
	switch client := client.(type) {
	case *redis.Client:
		return client.Options().MaxRetries > 0
	case *redis.ClusterClient:
		return client.Options().MaxRedirects > 0
	}
	return true
}
