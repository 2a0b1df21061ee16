package pubsub

import (
	"errors"
	"slices"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redistest"
)

// names lists the durable topics.
func (r *rig) names() []string {
	r.t.Helper()
	names, err := r.client.Streams().List(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return names
}

// A topic is listed while there is a stream of it: not where the first message was refused, and again where a publisher
// goes on after it was deleted, or Redis lost everything.
func TestListedWhileThere(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	admin := redistest.Client(t, srv)
	for name, channels := range map[string][]any{
		"no channels": {"resetchannels"}, "no hints": {"resetchannels", "&orders"}, "hints only": {"resetchannels", "&tm:*"},
	} {
		if err := admin.Do(t.Context(), append([]any{"ACL", "SETUSER", "u", "reset", "on", ">p", "+@all", "~*"}, channels...)...).Err(); err != nil {
			t.Fatal(err)
		}
		refused := newRig(t, redistest.Client(t, srv, func(o *redis.Options) { o.Username, o.Password = "u", "p" }))
		if _, err := refused.topic.Publish(t.Context(), order{N: 1}); !errors.Is(err, ErrNotPermitted) {
			t.Errorf("%s: %v", name, err)
		}
		if keys := admin.Keys(t.Context(), "tm:topic:*").Val(); len(keys) != 0 || len(refused.names()) != 0 {
			t.Errorf("%s: there is %v; listed are %v", name, keys, refused.names())
		}
	}
	r := newRig(t, admin)
	there := func() {
		t.Helper()
		r.publish(1, 1)
		if names := r.names(); !slices.Equal(names, []string{"orders"}) {
			t.Errorf("%v", names)
		}
	}
	there()
	if err := r.client.Streams().Delete(t.Context(), "orders"); err != nil || len(r.names()) != 0 {
		t.Errorf("%v, %v", err, r.names())
	}
	there()
	if err := admin.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	there()
}
