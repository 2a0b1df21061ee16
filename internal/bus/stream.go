package bus

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/conn"
	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/script"
)

//go:embed lua/*.lua
var streamSources embed.FS

func loadStream(name string) *script.Script { return script.New(streamSources, name, "prelude") }

var (
	publishScript = loadStream("publish")
	beatScript    = loadStream("beat")
	recoverScript = loadStream("recover")
	settleScript  = loadStream("settle")
	deadScript    = loadStream("dead")
	shelveScript  = loadStream("shelve")
	redriveScript = loadStream("redrive")
	dropScript    = loadStream("drop")
	countScript   = loadStream("count")
)

// Streams issues the commands of the durable topics of one namespace. It holds no state and is safe for concurrent use. Its
// errors are ErrNoGroup, *KeyTypeError, and what package conn makes of the rest; redis.Nil never leaves it.
type Streams struct {
	rdb     redis.UniversalClient
	space   keys.Space
	decodes bool // the client must decode replies itself, to follow redirections
}

// NewStreams makes one over a client, which stays the caller's to close.
func NewStreams(rdb redis.UniversalClient, space keys.Space) *Streams {
	return &Streams{rdb: rdb, space: space, decodes: script.Decodes(rdb)}
}

// ErrNoGroup says that the topic has no such group (any more).
var ErrNoGroup = errors.New("no such group")

// KeyTypeError says that a key holds another type than ours; nothing was changed.
type KeyTypeError = script.KeyTypeError

// streamError turns an error into one that callers can tell apart.
func streamError(err error) error {
	var reply redis.Error
	if !errors.As(err, &reply) {
		return conn.Classify(err)
	}
	text := strings.TrimPrefix(reply.Error(), "ERR ")
	if key, ok := strings.CutPrefix(text, "WRONGKEY "); ok {
		return &KeyTypeError{Key: key}
	}
	if strings.Contains(text, "NOGROUP ") || text == "no such key" {
		return ErrNoGroup
	}
	if strings.HasPrefix(text, "The user executing the script can't ") { // the ACL, of a command whose error a script passes on
		return fmt.Errorf("%w: %w", conn.ErrPermission, err)
	}
	return conn.Classify(err)
}

// scriptCall starts a call; ARGV is appended to it.
func scriptCall(s *script.Script, room int, names ...string) []any {
	args := make([]any, 0, 3+len(names)+room)
	args = append(args, "EVALSHA", s.Arg(), len(names))
	for _, name := range names {
		args = append(args, name)
	}
	return args
}

// run sends one script call, by its source where the server does not know it.
func (s *Streams) run(ctx context.Context, sc *script.Script, args []any) (*script.Reply, error) {
	r, err := s.call(ctx, sc, args)
	return r, streamError(err)
}

func (s *Streams) call(ctx context.Context, sc *script.Script, args []any) (*script.Reply, error) {
	r, err := s.do(ctx, args)
	if err != nil && strings.HasPrefix(err.Error(), "NOSCRIPT") {
		args[0], args[1] = "EVAL", sc.Source()
		r, err = s.do(ctx, args)
	}
	return r, err
}

// do sends one command and answers its undecoded reply. It is never sent again by the client itself: whether it was carried
// out is for the caller to find out.
func (s *Streams) do(ctx context.Context, args []any) (*script.Reply, error) {
	c := s.command(ctx, args)
	return loosely(c.Answer(s.rdb.Process(ctx, c.Cmder)))
}

func (s *Streams) command(ctx context.Context, args []any) script.Command {
	c := script.NewCommand(ctx, s.decodes, nil, args...)
	if args[0] == "XINFO" { // the others' keys a Cluster client finds by itself
		c.SetFirstKeyPos(2)
	}
	return c
}

// loosely lets an answer hold nulls and maps, and be a null itself.
func loosely(r *script.Reply, err error) (*script.Reply, error) {
	if errors.Is(err, redis.Nil) {
		return &script.Reply{Loose: true, B: []byte("*-1\r\n")}, nil
	}
	if err != nil {
		return nil, err
	}
	r.Loose = true
	return r, nil
}

// Add names a topic in the set of the namespace's topics.
func (s *Streams) Add(ctx context.Context, topic *keys.Topic) error {
	return s.typedKey(s.rdb.SAdd(ctx, s.space.Topics(), topic.Name()).Err(), s.space.Topics())
}

// Names lists the namespace's topics: of the names in the set those that there is a stream of, for a name is noted before
// the first message, which may have been refused.
func (s *Streams) Names(ctx context.Context) ([]string, error) {
	all, err := s.rdb.SMembers(ctx, s.space.Topics()).Result()
	if err != nil {
		return nil, s.typedKey(err, s.space.Topics())
	}
	var names []string
	for page := range slices.Chunk(all, 1000) {
		there := make([]*redis.IntCmd, len(page))
		pipe := s.rdb.Pipeline()
		for i, name := range page {
			if topic, err := s.space.Topic(name); err == nil {
				there[i] = pipe.Exists(ctx, topic.Stream())
			}
		}
		_, _ = pipe.Exec(ctx) // each has its own error
		for i, cmd := range there {
			if cmd == nil {
				continue
			}
			n, err := cmd.Result()
			if err = streamError(err); err != nil && !errors.Is(err, conn.ErrPermission) {
				return nil, err
			}
			if n > 0 || err != nil { // of what the user may not read the name has to do
				names = append(names, page[i])
			}
		}
	}
	return names, nil
}

// keepDead is for how long given up messages are kept.
const keepDead = 90 * 24 * time.Hour
