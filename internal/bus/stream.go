package bus

import (
	"context"
	"crypto/sha1"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/conn"
	"github.com/tidemill/tidemill/internal/keys"
)

//go:embed lua/*.lua
var streamSources embed.FS

// streamScript is one transition of a durable topic: its source behind the shared prelude, and the digest by which the server
// caches it.
type streamScript struct{ name, source, digest string }

func loadStream(name string) *streamScript {
	s := &streamScript{name: name, source: streamSource("prelude") + streamSource(name)}
	sum := sha1.Sum([]byte(s.source))
	s.digest = hex.EncodeToString(sum[:])
	return s
}

func streamSource(name string) string {
	b, err := streamSources.ReadFile("lua/" + name + ".lua")
	if err != nil {
		panic(err) // embedded at build time: it cannot be missing
	}
	return string(b)
}

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
	inner := rdb
	if w, ok := rdb.(interface{ Unwrap() redis.UniversalClient }); ok {
		inner = w.Unwrap()
	}
	_, plain := inner.(*redis.Client)
	return &Streams{rdb: rdb, space: space, decodes: !plain}
}

// ErrNoGroup says that the topic has no such group (any more).
var ErrNoGroup = errors.New("no such group")

// KeyTypeError says that a key holds another type than ours; nothing was changed.
type KeyTypeError struct{ Key string }

func (e *KeyTypeError) Error() string {
	return "key \"" + e.Key + "\" holds another type than Tidemill's; rename or delete it, nothing was changed"
}

// serverError is an error reply as it came.
type serverError string

func (e serverError) Error() string { return string(e) }

// RedisError marks it as an answer of the server, as go-redis does.
func (e serverError) RedisError() {}

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
func scriptCall(s *streamScript, room int, names ...string) []any {
	args := make([]any, 0, 3+len(names)+room)
	args = append(args, "EVALSHA", s.digest, len(names))
	for _, name := range names {
		args = append(args, name)
	}
	return args
}

// run sends one script call, by its source where the server does not know it.
func (s *Streams) run(ctx context.Context, sc *streamScript, args []any) (*streamReply, error) {
	r, err := s.call(ctx, sc, args)
	return r, streamError(err)
}

func (s *Streams) call(ctx context.Context, sc *streamScript, args []any) (*streamReply, error) {
	r, err := s.do(ctx, args)
	if err != nil && strings.HasPrefix(err.Error(), "NOSCRIPT") {
		args[0], args[1] = "EVAL", sc.source
		r, err = s.do(ctx, args)
	}
	return r, err
}

// do sends one command and answers its undecoded reply. It is never sent again by the client itself: whether it was carried
// out is for the caller to find out.
func (s *Streams) do(ctx context.Context, args []any) (*streamReply, error) {
	c := s.command(ctx, args)
	return c.answer(s.rdb.Process(ctx, c.Cmder))
}

// streamCommand is one on its way through go-redis.
type streamCommand struct {
	redis.Cmder
	raw *streamSink // nil where the client decodes
}

// streamDecoded is a command that the client decodes, and follows redirections with, but never sends again by itself.
type streamDecoded struct{ *redis.Cmd }

// NoRetry is what go-redis asks.
func (streamDecoded) NoRetry() bool { return true }

func (s *Streams) command(ctx context.Context, args []any) streamCommand {
	if s.decodes {
		cmd := redis.NewCmd(ctx, args...)
		if args[0] == "XINFO" { // the others' keys a Cluster client finds by itself
			cmd.SetFirstKeyPos(2)
		}
		return streamCommand{Cmder: streamDecoded{cmd}}
	}
	raw := new(streamSink)
	return streamCommand{Cmder: redis.NewRawWriteToCmd(ctx, raw, args...), raw: raw}
}

func (c streamCommand) answer(err error) (*streamReply, error) {
	if err == nil {
		err = c.Err()
	}
	if errors.Is(err, redis.Nil) {
		return &streamReply{b: []byte("*-1\r\n")}, nil
	}
	if err != nil {
		return nil, err
	}
	if c.raw == nil {
		return &streamReply{b: appendRESP(nil, c.Cmder.(streamDecoded).Val())}, nil
	}
	if b := c.raw.b; len(b) > 2 && b[0] == '-' {
		return nil, serverError(strings.TrimSuffix(string(b[1:]), "\r\n"))
	}
	return &streamReply{b: c.raw.b}, nil
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
